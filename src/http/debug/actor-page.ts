import type { Context } from 'hono';
import { html } from 'hono/html';
import { acceptedEvents } from '../../actors/accepted-events.ts';
import type { Charts } from '../../visualizer/charts.ts';
import type { Api } from '../api.ts';
import { actorParts } from './actor-parts.ts';
import { actorOf, actorPath, noSuchActor } from './actor-path.ts';
import { type ActorView, viewActor } from './actor-view.ts';
import { eventLog, replayControls } from './event-log.ts';
import { readHistory } from './history.ts';
import { liveBanners } from './live-banners.ts';
import { chartFrame } from './machines.ts';
import { answerPage, type Fragment } from './page.ts';
import { signedInAs } from './session.ts';

/** `GET /debug/actors/:kind/:id`: one actor, its picture, and all that hangs on it. */
export async function answerActor(context: Context, api: Api, charts: Charts): Promise<Response> {
  const { db, live } = api;
  const ref = actorOf(context);
  const view = await viewActor(db, live, ref);
  if (view === undefined) throw noSuchActor(ref);
  const { actor, now, statuses } = view;
  const history = await readHistory(db, charts, actor, context);
  const { current } = history;
  const { kind, id, version } = actor;
  const path = actorPath(actor);
  const parts = actorParts(view);
  const part = (name: keyof typeof parts) => html`<div data-part="${name}">${parts[name]}</div>`;
  const main = html`${signedInAs(context)}
<div id="actor" data-now="${now}" data-version="${version}" data-events="${path}/events"></div>
${liveBanners(api)}
<p class="banner" id="gone" role="status" hidden><b>This actor is no longer there</b>: it has ended, and its row was removed. What you see is what was last known of it.</p>
<div data-part="notices" aria-live="polite">${parts.notices}</div>
<div class="split">
<div>
<section class="panel" aria-label="Statechart">${replayControls(path)}${await chartFrame(charts, kind, { state: current?.to ?? actor.state, last: current?.transitions ?? [] })}</section>
${eventLog(history, path)}
</div>
<div>
<section class="panel" aria-label="Summary">${part('summary')}</section>
<section class="panel"><h2>Effects that run</h2>${part('effects')}</section>
<section class="panel"><h2>Timers</h2>${part('timers')}</section>
<section class="panel"><h2>Load balancer and amphorae</h2>${part('family')}</section>
<section class="panel"><h2>Waiting messages</h2>${part('messages')}</section>
${commandForms(view)}
</div>
</div>`;
  const title = `${kind} ${statuses?.name || id.slice(0, 8)}`;
  return answerPage(context, { title, section: 'actors', main, scripts: ['actor.js'] });
}

/** What an operator can do to an actor; each asks once more before it is done. */
function commandForms({ actor }: ActorView): Fragment {
  const { kind, done } = actor;
  if (done) return html``;
  const path = actorPath(actor);
  return html`<section class="panel"><h2>Operator</h2>
<form method="post" action="${path}/events">
<p><label>Event <select name="type">${acceptedEvents(kind).map((type) => html`<option>${type}</option>`)}</select></label></p>
<p><label>Its other attributes, as JSON <textarea name="attributes" rows="3" maxlength="10000" spellcheck="false">{}</textarea></label></p>
<p><button>Send the event…</button></p>
</form>
<form method="post" action="${path}/resume">
<p class="soft">Resuming ends a quarantine and starts the effects again that should run and do not.</p>
<p><button>Resume…</button></p>
</form>
</section>`;
}
