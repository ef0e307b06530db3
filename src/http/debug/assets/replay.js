// The log of events and the slider that goes through them. Every item of the log knows what the picture looked like then.

import { mark } from './chart.js';

const chart = document.querySelector('.chart-frame .chart');
const log = document.querySelector('.log');
const controls = document.querySelector('.replay');
const slider = controls.querySelector('input');
const output = controls.querySelector('output');
const now = controls.querySelector('[data-now]');

/** Whether the newest event of all is shown, and the next one will be. */
let follows = 'latest' in log.dataset && log.firstElementChild?.hasAttribute('aria-current') !== false;

/** Whether the page shows the actor as it is now, and not as it was. */
export function following() {
  return follows;
}

/** Ask for the events that came meanwhile, and show the newest unless somebody looks at an earlier one. */
export function refresh() {
  refreshing = refreshing.then(fetchNewer, fetchNewer);
  return refreshing;
}

let refreshing = Promise.resolve();

async function fetchNewer() {
  const newest = log.firstElementChild?.dataset.version ?? 0;
  const answer = await fetch(`${log.dataset.url}?after=${newest}`);
  if (!answer.ok) throw new Error(`the events could not be read: ${answer.status}`);
  log.insertAdjacentHTML('afterbegin', await answer.text());
  if (follows) show(log.firstElementChild);
  else slider.max = String(log.children.length - 1);
}

/** Show the actor as it was after an event of the log. */
function show(item) {
  const items = [...log.children].reverse();
  if (!item) return;
  const { version, state, last } = item.dataset;
  const text = follows ? `Now: ${state}` : `After event ${version}: ${state}`;
  slider.max = String(items.length - 1);
  slider.value = String(items.indexOf(item));
  slider.setAttribute('aria-valuetext', text);
  output.textContent = text;
  controls.hidden = false;
  for (const each of items) {
    if (each === item) each.setAttribute('aria-current', 'true');
    else each.removeAttribute('aria-current');
  }
  document.body.toggleAttribute('data-replaying', !follows);
  mark(chart, { state, last: last.split(' ') });
}

/** Go to the event at this place, the oldest has 0. The last one is now, if the log reaches so far. */
function goTo(position) {
  const end = log.children.length - 1;
  const place = Math.max(0, Math.min(end, position));
  follows = place === end && 'latest' in log.dataset;
  show(log.children[end - place]);
}

slider.addEventListener('input', () => goTo(Number(slider.value)));
for (const button of controls.querySelectorAll('[data-step]'))
  button.addEventListener('click', () => goTo(Number(slider.value) + Number(button.dataset.step)));
now.addEventListener('click', (event) => {
  if (!('latest' in log.dataset)) return;
  event.preventDefault();
  goTo(log.children.length - 1);
});
// The number of an event leads to the page as it was then, which this page can show at once.
log.addEventListener('click', (event) => {
  const link = event.target.closest('.what > a');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  goTo(log.children.length - 1 - [...log.children].indexOf(link.closest('li')));
});

show(log.querySelector(':scope > [aria-current]') ?? log.firstElementChild);
