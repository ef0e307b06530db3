// The list of actors, kept as it is in the database.
import { follow, replace, setClock } from './live.js';

const list = document.getElementById('list');
const rows = document.getElementById('rows');
const empty = document.getElementById('empty');
/** A later page takes up no newcomers. */
const newest = !('older' in list.dataset);
const MOST_ROWS = 100;

setClock(list.dataset.now);

function show({ key, version, matches, html }) {
  const shown = document.getElementById(key);
  if (shown && Number(shown.dataset.version) >= version) return;
  if (shown) replace(shown, html, { whole: true });
  else if (matches && newest) rows.insertAdjacentHTML('afterbegin', html);
  else return;
  const row = document.getElementById(key);
  row.classList.toggle('past', !matches);
  row.classList.add('changed');
  setTimeout(() => row.classList.remove('changed'), 1_500);
}

function trim() {
  for (const row of [...rows.children].slice(MOST_ROWS)) row.remove();
  empty.hidden = rows.children.length > 0;
}

function count(numbers) {
  for (const chip of document.querySelectorAll('[data-count]')) {
    const number = numbers[chip.dataset.count] ?? 0;
    chip.querySelector('b').textContent = number;
    chip.hidden = number === 0 && !chip.hasAttribute('data-keep') && !chip.hasAttribute('aria-current');
  }
}

/** The page is being read again, and whether something was missed since that began. */
let reading = false;
let missed = false;

/** Read the whole page again, because something of it may be missing. */
async function refresh() {
  missed = true;
  if (reading) return;
  reading = true;
  while (missed) {
    missed = false;
    await readAgain().catch(async () => {
      missed = true;
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    });
  }
  reading = false;
}

/** What came while the page was on its way stays. */
async function readAgain() {
  const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
  if (!answer.ok) throw new Error(`the list could not be read: ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.getElementById('rows');
  if (fresh === null) return location.reload();
  for (const row of fresh.children) {
    const shown = document.getElementById(row.id);
    if (shown && Number(shown.dataset.version) > Number(row.dataset.version))
      row.replaceWith(shown.cloneNode(true));
  }
  replace(rows, fresh.innerHTML);
  replace(document.getElementById('counts'), page.getElementById('counts').innerHTML);
  setClock(page.getElementById('list').dataset.now);
  trim();
}

follow(
  (last) => {
    const address = new URL(list.dataset.events, location.href);
    if (last) address.searchParams.set('since', last);
    return address;
  },
  {
    rows(changes) {
      for (const change of changes) show(change);
      trim();
    },
    counts: count,
    refresh,
  },
);
