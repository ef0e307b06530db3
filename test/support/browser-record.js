// Runs in each page before its own scripts: takes down whatever becomes visible, so that nothing is missed between two looks.
globalThis.shown = { states: [], banners: [] };

const look = () => {
  const lit = [...document.querySelectorAll('.chart-frame .lit')].at(-1)?.dataset.state;
  if (lit !== undefined && lit !== shown.states.at(-1)) shown.states.push(lit);
  for (const { id } of document.querySelectorAll('.banner[id]:not([hidden])'))
    if (!shown.banners.includes(id)) shown.banners.push(id);
};

new MutationObserver(look).observe(document, {
  subtree: true,
  childList: true,
  attributes: true,
  attributeFilter: ['class', 'hidden'],
});
