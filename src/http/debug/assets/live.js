// What all pages share that show what happens: the stream of events, the clock, pieces that are replaced.

/** How much the server's clock is ahead of this browser's, in milliseconds. */
let ahead = 0;

export function setClock(now) {
  ahead = Date.parse(now) - Date.now();
}

const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** Whole seconds in their two largest units. */
function inWords(seconds) {
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return '0 s';
  let left = seconds;
  return units
    .slice(first, first + 2)
    .map(([name, size]) => {
      const count = Math.floor(left / size);
      left -= count * size;
      return count > 0 ? `${count} ${name}` : '';
    })
    .filter(Boolean)
    .join(' ');
}

function tick() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll('time[data-since]')) {
    const text = inWords(Math.max(0, Math.floor((now - Date.parse(time.dataset.since)) / 1000)));
    if (time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll('time[data-until]')) {
    const seconds = Math.ceil((Date.parse(time.dataset.until) - now) / 1000);
    const text = seconds > 0 ? inWords(seconds) : 'due';
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(tick, 1_000);

/** Replace what is in an element, or the element itself, and leave the focus where it was. */
export function replace(element, html, { whole = false } = {}) {
  const focused = element.contains(document.activeElement)
    ? document.activeElement.getAttribute('href')
    : null;
  if (whole) {
    const { id } = element;
    element.outerHTML = html;
    restoreFocus(document.getElementById(id), focused);
  } else {
    element.innerHTML = html;
    restoreFocus(element, focused);
  }
}

function restoreFocus(element, href) {
  if (href !== null) element?.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus({ preventScroll: true });
}

/**
 * Follow a stream while somebody looks; `addressOf(lastEventId)` says where it goes on. A browser has only a few connections
 * for all its pages, so one that is hidden gives its own back, and hears later what it has missed. It is closed for ever when a
 * handler returns false. Banners say when there is no connection, or when the server has lost the broker.
 */
export function follow(addressOf, handlers) {
  const bus = document.getElementById('bus');
  const lost = document.getElementById('lost');
  let lastEventId = '';
  let source;
  let over = false;

  const open = () => {
    if (over || document.hidden || (source && source.readyState !== EventSource.CLOSED)) return;
    source = new EventSource(addressOf(lastEventId));
    for (const [type, handle] of Object.entries(handlers)) {
      source.addEventListener(type, (event) => {
        if (event.lastEventId) lastEventId = event.lastEventId;
        if (handle(JSON.parse(event.data)) !== false) return;
        over = true;
        event.target.close();
      });
    }
    source.addEventListener('bus', (event) => {
      bus.hidden = JSON.parse(event.data).up;
    });
    source.addEventListener('open', () => said(true));
    source.addEventListener('error', ({ target }) => {
      said(false);
      // A browser gives up where the answer is an error.
      if (target === source && target.readyState === EventSource.CLOSED) setTimeout(again, 2_000);
    });
  };
  const said = (live) => {
    lost.hidden = live || over;
    document.documentElement.dataset.live = live ? 'yes' : 'no';
  };
  /** Who is no longer logged in is shown where to. */
  const again = async () => {
    const page = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'manual' }).catch(
      () => {},
    );
    if (page?.type === 'opaqueredirect') location.reload();
    else open();
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) source?.close();
    else open();
  });
  open();
}
