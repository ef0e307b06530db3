import { html } from 'hono/html';
import type { Difference } from '../../visualizer/difference.ts';
import type { Action, HistoryEntry } from '../../visualizer/history.ts';
import { eventInWords, timeInWords } from '../../visualizer/words.ts';
import type { ShownHistory } from './history.ts';
import type { Fragment } from './page.ts';

/** Longest value of a context that is shown whole. */
const SHOWN_CHARACTERS = 160;

/**
 * A slider that goes through the events of the log beside it, and shows the picture as it was then (`replay.js`); only where there are
 * scripts.
 * @param base path of the actor's page.
 */
export function replayControls(base: string): Fragment {
  return html`<div class="replay" hidden>
<label for="replay">Replay</label>
<button type="button" data-step="-1" aria-label="Earlier event">◀</button>
<input type="range" id="replay" min="0" step="1">
<button type="button" data-step="1" aria-label="Later event">▶</button>
<a class="button" data-now href="${base}">Now</a>
<output for="replay"></output>
</div>`;
}

/**
 * The events of an actor, the newest first. The number of each leads to the page as it was then.
 * @param base path of the actor's page.
 */
export function eventLog(
  { entries, current, latest, earlier, problem }: ShownHistory,
  base: string,
): Fragment {
  return html`<section class="panel" aria-labelledby="events">
<h2 id="events">Events</h2>
${problem ? html`<p class="banner">Not everything could be replayed. ${problem}</p>` : ''}
<ol class="log" reversed data-url="${base}/log"${latest ? html` data-latest` : ''}>${logEntries(entries, base, current)}</ol>
${earlier ? html`<p><a href="${base}?before=${entries.at(-1)?.version}#events">Earlier events</a></p>` : ''}
</section>`;
}

/** The items of the list alone. */
export function logEntries(entries: HistoryEntry[], base: string, current?: HistoryEntry): Fragment {
  return html`${entries.map((entry) => logEntry(entry, base, entry === current))}`;
}

function logEntry(entry: HistoryEntry, base: string, isCurrent: boolean): Fragment {
  const { version, at, event, from, to, handled, sinceMs, tookMs, actions, transitions, differences } = entry;
  const { cause, name } = eventInWords(event.type);
  return html`<li data-version="${version}" data-state="${to}" data-last="${transitions.join(' ')}" data-cause="${cause}"${isCurrent ? html` aria-current="true"` : ''}>
<p class="what"><a href="${base}?version=${version}" aria-label="Version ${version}">${version}</a> <b>${name}</b>${cause === 'message' ? '' : html` <span class="cause">${cause === 'time' ? 'has passed' : cause}</span>`}${tookMs === undefined ? '' : html` <span class="soft">after ${timeInWords(tookMs)}</span>`}${handled ? '' : html` <span class="badge" data-tone="busy">ignored</span>`}</p>
<p class="where">${from === to ? html`stays in <code>${to}</code>` : html`<code>${from || 'nothing'}</code> → <code>${to}</code>`}</p>
<p class="when soft"><time datetime="${at.toISOString()}">${at.toISOString().slice(11, 23)}</time>${sinceMs === undefined ? '' : ` · ${timeInWords(sinceMs)} later`}</p>
${actions.length > 0 ? html`<ul class="actions">${actions.map(actionItem)}</ul>` : ''}
${differences && differences.length > 0 ? html`<details><summary>${differences.length} ${differences.length === 1 ? 'change' : 'changes'} of what it remembers</summary>${differenceList(differences)}</details>` : ''}
</li>
`;
}

function actionItem({ started, stopped, armed, delayMs, sent, to, rows }: Action): Fragment {
  if (started !== undefined) return html`<li data-action="started">started ${started}</li>`;
  if (stopped !== undefined) return html`<li data-action="stopped">ended ${stopped}</li>`;
  if (armed !== undefined) return html`<li>${eventInWords(armed).name} in ${timeInWords(delayMs ?? 0)}</li>`;
  if (sent !== undefined) {
    const [kind] = to?.split('/') ?? [];
    return html`<li>sent ${sent} to <a href="/debug/actors/${to}">${kind}</a></li>`;
  }
  return html`<li>rows: ${rows}</li>`;
}

function differenceList(all: Difference[]): Fragment {
  return html`<ul class="differences">${all.map(
    ({ path, before, after }) =>
      html`<li><code>${path}</code>: <del>${shown(before)}</del> → <ins>${shown(after)}</ins></li>`,
  )}</ul>`;
}

/** A value in at most so many characters. */
function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
