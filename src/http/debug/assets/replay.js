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

/** What was said of the newest event; the log has it a little later. */
let newest = { version: 0 };

/** Show what the actor has just become, unless somebody looks at what it was. */
export function arrive({ version, state, last }) {
  // The log was read a little after the page, and may know it already.
  if (Number(version) <= Number(log.firstElementChild?.dataset.version ?? 0)) return;
  newest = { version: Number(version), state, last };
  if (follows) draw(newest);
}

/** Ask for the events that came meanwhile, and show the newest unless somebody looks at an earlier one. */
export async function refresh() {
  wanted = true;
  if (asking) return;
  asking = true;
  try {
    while (wanted) {
      wanted = false;
      await fetchNewer();
    }
  } finally {
    asking = false;
  }
}

let asking = false;
let wanted = false;

async function fetchNewer() {
  const known = Number(log.firstElementChild?.dataset.version ?? 0);
  const answer = await fetch(`${log.dataset.url}?after=${known}`);
  if (!answer.ok) throw new Error(`the events could not be read: ${answer.status}`);
  const template = document.createElement('template');
  template.innerHTML = await answer.text();
  const oldest = template.content.lastElementChild;
  // More came than one answer holds.
  if (oldest && Number(oldest.dataset.version) > known + 1) return location.reload();
  log.prepend(template.content);
  if (follows) show(log.firstElementChild);
  else slider.max = String(log.children.length - 1);
}

/** Show the actor as it was after an event of the log. */
function show(item) {
  if (!item) return;
  const items = [...log.children].reverse();
  slider.max = String(items.length - 1);
  slider.value = String(items.indexOf(item));
  controls.hidden = false;
  for (const each of items) {
    if (each === item) each.setAttribute('aria-current', 'true');
    else each.removeAttribute('aria-current');
  }
  document.body.toggleAttribute('data-replaying', !follows);
  const { version, state, last } = item.dataset;
  const shown = { version: Number(version), state, last: last.split(' ') };
  draw(follows && newest.version > shown.version ? newest : shown);
}

function draw({ version, state, last }) {
  const text = follows ? `Now: ${state}` : `After event ${version}: ${state}`;
  slider.setAttribute('aria-valuetext', text);
  output.textContent = text;
  mark(chart, { state, last });
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
