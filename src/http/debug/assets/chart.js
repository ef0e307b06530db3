// What is marked in a picture of a statechart: the state that is lit, and the transitions that were taken last.

const within = (inner, outer) => inner === outer || inner.startsWith(`${outer}.`);

/**
 * @param {SVGElement} chart
 * @param {{ state: string, last: string[] }} marks name of a state, keys of transitions
 */
export function mark(chart, { state, last }) {
  for (const each of chart.querySelectorAll('[data-state]')) {
    const path = each.dataset.state;
    each.classList.toggle('lit', path !== '' && within(state, path));
  }
  for (const each of chart.querySelectorAll('[data-transition]'))
    each.classList.toggle('last', last.includes(each.dataset.transition));
  for (const each of chart.querySelectorAll('[data-carries]'))
    each.classList.toggle(
      'last',
      each.dataset.carries.split(' ').some((key) => last.includes(key)),
    );
  reveal(chart);
}

/** Scroll the picture in its frame, if it has to, so that the innermost state that is lit can be seen. */
export function reveal(chart) {
  const frame = chart.closest('.chart-frame');
  const lit = [...chart.querySelectorAll('.lit')].at(-1);
  if (!frame || !lit) return;
  const outer = frame.getBoundingClientRect();
  const inner = lit.getBoundingClientRect();
  const hidden =
    inner.left < outer.left ||
    inner.right > outer.right ||
    inner.top < outer.top ||
    inner.bottom > outer.bottom;
  if (!hidden) return;
  frame.scrollBy({
    left: (inner.left + inner.right - outer.left - outer.right) / 2,
    top: (inner.top + inner.bottom - outer.top - outer.bottom) / 2,
    behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth',
  });
}

for (const button of document.querySelectorAll('[data-fit]')) {
  const frame = document.getElementById(button.getAttribute('aria-controls'));
  button.hidden = false;
  button.addEventListener('click', () => {
    const fits = frame.classList.toggle('fit');
    button.setAttribute('aria-pressed', String(fits));
    if (!fits) reveal(frame.querySelector('.chart'));
  });
}
