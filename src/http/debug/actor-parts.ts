import { html } from 'hono/html';
import { reasonOf } from '../../visualizer/reason.ts';
import { nameInWords, timeInWords } from '../../visualizer/words.ts';
import { actorPath } from './actor-path.ts';
import { type ActorView, contextOf, pendingEffects } from './actor-view.ts';
import { stateBadge } from './list-page.ts';
import type { Fragment } from './page.ts';

/** The pieces of an actor's page that change while it is looked at, by their names. */
export type ActorParts = Record<
  'notices' | 'summary' | 'effects' | 'timers' | 'messages' | 'family',
  Fragment
>;

export function actorParts(view: ActorView): ActorParts {
  return {
    notices: notices(view),
    summary: summary(view),
    effects: effects(view),
    timers: timers(view),
    messages: messages(view),
    family: family(view),
  };
}

/** What has to be said first: it is quarantined, it has ended, it failed and why. */
function notices({ actor, statuses, last }: ActorView): Fragment {
  const context = contextOf(actor);
  const reason = context === null ? undefined : reasonOf(actor.kind, context);
  const kept = statuses?.error_message;
  return html`${
    actor.quarantined !== null &&
    html`<div class="banner" data-tone="bad" role="alert"><p><b>Quarantined.</b> The actor cannot go on: ${actor.quarantined}</p>
<p>It does nothing, and its messages and timers wait. Remove the cause, then resume it below.</p></div>`
  }${
    actor.done &&
    html`<p class="banner" role="status"><b>This actor has ended</b> in ${actor.state}. Its history is kept for a while.</p>`
  }${
    reason &&
    html`<div class="banner" data-tone="bad" id="reason"><p><b>Why it failed:</b> ${reason.words}</p>
<p><code>${reason.code}</code>: ${reason.message}</p></div>`
  }${
    !reason &&
    kept &&
    html`<div class="banner" data-tone="bad" id="reason"><p><b>Last failure:</b> <code>${statuses.error_code}</code>: ${kept}</p></div>`
  }${
    last?.handled === false &&
    html`<p class="banner">The last event, <code>${last.type}</code>, was ignored: the machine does not take it in this state.</p>`
  }`;
}

function summary({ actor, statuses }: ActorView): Fragment {
  const {
    error_code: _,
    error_message: __,
    ...facts
  } = statuses ?? { error_code: null, error_message: null };
  return html`<dl>
<dt>State</dt><dd>${stateBadge(actor.state)} for ${ago(actor.state_since, actor.state_seconds * 1000)}</dd>
${Object.entries(facts).map(
  ([name, value]) => value && html`<dt>${name.replaceAll('_', ' ')}</dt><dd>${value}</dd>`,
)}
<dt>Node</dt><dd>${actor.node ?? 'nobody has its partition'} (partition ${actor.partition})</dd>
<dt>Version</dt><dd>${actor.version}, of machine version ${actor.machine_version}</dd>
<dt>Id</dt><dd><code>${actor.id}</code></dd>
</dl>`;
}

function effects(view: ActorView): Fragment {
  const pending = pendingEffects(view);
  if (pending.length === 0) return html`<p class="soft">None runs.</p>`;
  const unknown = html`<span class="soft">unknown: its node does not say</span>`;
  return html`<table>
<thead><tr><th scope="col">Effect</th><th scope="col">Attempt</th><th scope="col">Given up in</th><th scope="col">Last error</th></tr></thead>
<tbody>${pending.map(
    ({
      id,
      src,
      attempt,
      attempts,
      until,
      error,
    }) => html`<tr data-effect="${id}"><th scope="row">${nameInWords(src)}</th>
<td>${attempt === undefined ? unknown : attempt === 0 ? 'waits for its turn' : attempts ? `${attempt} of ${attempts}` : attempt}</td>
<td>${until === undefined ? unknown : left(until, view.now)}</td>
<td>${error ? html`<code>${error.code}</code>: ${error.message}` : ''}</td></tr>`,
  )}</tbody></table>`;
}

function timers({ timers, now }: ActorView): Fragment {
  if (timers.length === 0) return html`<p class="soft">None is armed.</p>`;
  return html`<ul class="plain">${timers.map(
    ({ name, due_at }) =>
      html`<li data-timer="${name}">${timerInWords(name)}: ${left(due_at.toISOString(), now)}</li>`,
  )}</ul>`;
}

function messages({ messages }: ActorView): Fragment {
  if (messages.length === 0) return html`<p class="soft">None waits.</p>`;
  return html`<ul class="plain">${messages.map(
    ({ event, created_at }) =>
      html`<li><code>${(event as { type: string }).type}</code> since <time datetime="${created_at.toISOString()}">${created_at.toISOString()}</time></li>`,
  )}</ul>`;
}

function family({ actor, family }: ActorView): Fragment {
  return html`<ul class="plain">${family.map(
    ({ kind, id, name, state, done }) =>
      html`<li>${stateBadge(state)} ${
        id === actor.id
          ? html`<b>${kind}</b> this one`
          : html`<a href="${actorPath({ kind, id })}">${kind} ${kind === 'load-balancer' && name ? name : id.slice(0, 8)}</a>`
      }${done && ' (ended)'}</li>`,
  )}</ul>`;
}

/** `xstate.after.createDeadline.load-balancer.creating` as `create deadline of creating`. */
function timerInWords(name: string): string {
  const [, delay, state] = /^xstate\.after\.([^.]+)\.[^.]+\.?(.*)$/.exec(name) ?? [];
  if (delay === undefined) return name;
  return `${nameInWords(delay)}${state ? ` of ${state}` : ''}`;
}

/** A time that counts up in a browser that runs scripts. */
function ago(since: Date, ms: number): Fragment {
  const time = since.toISOString();
  return html`<time datetime="${time}" data-since="${time}">${timeInWords(Math.floor(ms / 1000) * 1000)}</time>`;
}

/** A time that counts down there. */
function left(until: string, now: string): Fragment {
  const ms = Date.parse(until) - Date.parse(now);
  return html`<time datetime="${until}" data-until="${until}">${ms <= 0 ? 'due' : timeInWords(Math.ceil(ms / 1000) * 1000)}</time>`;
}
