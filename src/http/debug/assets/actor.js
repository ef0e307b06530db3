// The page of one actor, kept as it is in the database.
import { follow, replace, setClock } from './live.js';
import { arrive, refresh } from './replay.js';

const actor = document.getElementById('actor');
/** Events were heard that the log does not have yet. */
let news = false;

/** The log is read apart from the stream, and may fail where the stream does not. */
async function readNews() {
  if (!news) return;
  news = false;
  await refresh().catch(() => {
    news = true;
    setTimeout(readNews, 2_000);
  });
}

setClock(actor.dataset.now);

follow((last) => `${actor.dataset.events}?version=${last || actor.dataset.version}`, {
  transition({ version, to, taken }) {
    actor.dataset.version = version;
    news = true;
    arrive({ version, state: to, last: taken });
  },
  parts({ now, parts }) {
    setClock(now);
    for (const [name, html] of Object.entries(parts)) {
      replace(document.querySelector(`[data-part="${name}"]`), html);
    }
    readNews();
  },
  gone() {
    document.getElementById('gone').hidden = false;
    return false;
  },
});
