import { html } from 'hono/html';
import type { Api } from '../api.ts';
import type { Fragment } from './page.ts';

/** What a page says when it cannot be told what happens; brought up to date by `live.js`. */
export function liveBanners({ live }: Pick<Api, 'live'>): Fragment {
  return html`<p class="banner" id="bus" role="status"${live?.up !== false && html` hidden`}><b>NATS is away.</b> What you see is what the database said last. It is brought up to date when NATS is back.</p>
<p class="banner" data-tone="bad" id="lost" role="status" hidden><b>No connection to the server.</b> What you see may be old. The connection is tried again.</p>`;
}
