import type { Context } from 'hono';
import { html } from 'hono/html';
import {
  countActors,
  databaseTime,
  type ListedActor,
  listActors,
  partitionOwners,
  type StateCount,
} from '../../store/actor-list.ts';
import type { Charts } from '../../visualizer/charts.ts';
import { timeInWords } from '../../visualizer/words.ts';
import type { Api } from '../api.ts';
import { actorPath } from './actor-path.ts';
import {
  addressOf,
  allStates,
  failureStates,
  filterOf,
  type ListQuery,
  leaves,
  readListQuery,
  toneOf,
} from './list-query.ts';
import { liveBanners } from './live-banners.ts';
import { answerPage, type Fragment } from './page.ts';
import { signedInAs } from './session.ts';

/** Rows of a page. */
export const PAGE_ROWS = 100;

const ages: [seconds: number, words: string][] = [
  [60, '1 minute'],
  [600, '10 minutes'],
  [3_600, '1 hour'],
  [86_400, '1 day'],
];

/** `GET /debug/`: which actors there are, those that changed their state last first, and how many are in which state. */
export async function answerList(context: Context, api: Api, charts: Charts): Promise<Response> {
  const { db } = api;
  const query = readListQuery(context.req.query());
  // Earlier than the rows are read: whatever changes meanwhile is sent again.
  const now = await databaseTime(db);
  const owners = await partitionOwners(db);
  const [rows, counts] = await Promise.all([
    listActors(db, filterOf(query, failureStates(charts), owners), query.after, PAGE_ROWS),
    countActors(db),
  ]);
  const main = html`${signedInAs(context)}
<div id="list" data-now="${now}" data-events="${feedOf(query, now)}"${query.after && html` data-older`}></div>
${liveBanners(api)}
${countChips(charts, counts, query)}
${filters(query, [...owners.keys()], allStates(charts))}
<section class="panel" aria-label="Actors">
<div class="scroll" role="region" tabindex="0" aria-label="Table of actors">
<table class="actors">
<thead><tr><th scope="col">Actor</th><th scope="col">State</th><th scope="col">For</th><th scope="col">Error</th><th scope="col">Node</th><th scope="col">Partition</th></tr></thead>
<tbody id="rows">${rows.map(actorRow)}</tbody>
</table>
</div>
<p class="soft" id="empty"${rows.length > 0 && html` hidden`}>No actor is like that.</p>
${pages(query, rows)}
</section>`;
  return answerPage(context, { title: 'Actors', section: 'actors', main, scripts: ['list.js'] });
}

/** Where a page hears what changes in it; each change once, from the moment on in which the page was read. */
function feedOf({ after: _, ...query }: ListQuery, since: string): string {
  const address = addressOf(query).replace('/debug/', '/debug/events');
  return `${address}${address.includes('?') ? '&' : '?'}since=${since}`;
}

/** A row of the list, as the page has it and as it is sent when it changes. */
export function actorRow(actor: ListedActor): Fragment {
  const { kind, id, name, state, quarantined, error, node, partition, since, ageSeconds } = actor;
  const problem = quarantined ?? error?.message ?? '';
  return html`<tr id="${keyOf(actor)}" data-version="${versionOf(actor)}">
<th scope="row"><a href="${actorPath({ kind, id })}">${name || id.slice(0, 8)}</a> <span class="soft">${kind}<br><code>${id}</code></span></th>
<td>${stateBadge(state)}${quarantined !== null && html` <span class="badge" data-tone="bad">quarantined</span>`}</td>
<td data-label="for"><time datetime="${since}" data-since="${since}">${timeInWords(Math.floor(ageSeconds) * 1000)}</time></td>
<td>${problem.length > 120 ? `${problem.slice(0, 120)}…` : problem}</td>
<td data-label="node">${node ?? html`<span class="soft">nobody</span>`}</td>
<td data-label="partition">${partition}</td>
</tr>`;
}

/** Grows with whatever changes in the row; a quarantine changes no version. */
export function versionOf({ version, quarantined }: ListedActor): number {
  return quarantined === null ? version : version + 0.5;
}

export function keyOf({ kind, id }: { kind: string; id: string }): string {
  return `${kind}-${id}`;
}

export function stateBadge(state: string): Fragment {
  return html`<span class="badge" data-tone="${toneOf(state)}">${state || 'not started'}</span>`;
}

/** States with the number of their actors, each a link to them. Those without any are there for the script. */
function countChips(
  charts: Charts,
  { states, quarantined }: { states: StateCount[]; quarantined: number },
  query: ListQuery,
): Fragment {
  const groups = charts.kinds().map((kind) => {
    const mine = states.filter((each) => each.kind === kind);
    const known = new Map(mine.map(({ state, count }) => [state, count]));
    const all = [...new Set([...leaves(charts, kind), ...known.keys()])];
    const total = mine.reduce((sum, { count }) => sum + count, 0);
    const chips = all.map((state) => {
      const current = query.kind === kind && query.state === state;
      return chip(addressOf({ kind, state }), state || 'not started', known.get(state) ?? 0, {
        ...{ key: `${kind}/${state}`, tone: toneOf(state), current },
      });
    });
    return html`<dt>${kind}</dt><dd class="chips">${chip(addressOf({ kind }), 'all', total, {
      ...{ key: kind, tone: 'none', current: query.kind === kind && query.state === undefined },
      keep: true,
    })}${chips}</dd>`;
  });
  const set = chip(addressOf({ error: 'quarantined' }), 'quarantined', quarantined, {
    ...{ key: 'quarantined', tone: 'bad', current: query.error === 'quarantined' },
  });
  return html`<nav class="panel" aria-label="States" id="counts"><dl>${groups}</dl>${set}</nav>`;
}

function chip(
  href: string,
  words: string,
  count: number,
  { key, tone, current, keep = false }: { key: string; tone: string; current: boolean; keep?: boolean },
): Fragment {
  return html`<a class="badge" data-tone="${tone}" href="${href}" data-count="${key}"${keep && html` data-keep`}${current && html` aria-current="true"`}${
    count === 0 && !keep && !current && html` hidden`
  }>${words} <b>${count}</b></a> `;
}

function filters(query: ListQuery, nodes: string[], states: string[]): Fragment {
  const option = (value: string | number, words: string, chosen: unknown) =>
    html`<option value="${value}"${String(value) === String(chosen ?? '') && html` selected`}>${words}</option>`;
  const known = query.node === undefined || nodes.includes(query.node) ? nodes : [...nodes, query.node];
  return html`<form class="filters panel" method="get" action="/debug/" aria-label="Filters">
<label>Kind <select name="kind">${option('', 'any', query.kind)}${option('load-balancer', 'load-balancer', query.kind)}${option('amphora', 'amphora', query.kind)}</select></label>
<label>State <input name="state" list="states" value="${query.state ?? ''}" size="22" maxlength="255" spellcheck="false"></label><datalist id="states">${states.map((state) => html`<option>${state}</option>`)}</datalist>
<label>Node <select name="node">${option('', 'any', query.node)}${known.map((node) => option(node, node, query.node))}</select></label>
<label>Partition <input name="partition" type="number" min="0" max="63" value="${query.partition ?? ''}"></label>
<label>In its state for <select name="age">${option('', 'any time', query.age)}${ages.map(([seconds, words]) => option(seconds, `at least ${words}`, query.age))}${
    query.age !== undefined &&
    !ages.some(([seconds]) => seconds === query.age) &&
    option(query.age, `at least ${query.age} s`, query.age)
  }</select></label>
<label>Error <select name="error">${option('', 'any or none', query.error)}${option('failed', 'failed', query.error)}${option('quarantined', 'quarantined', query.error)}</select></label>
<button>Show</button> <a href="/debug/">Show all</a>
</form>`;
}

function pages(query: ListQuery, rows: ListedActor[]): Fragment {
  const last = rows.at(-1);
  const next = rows.length === PAGE_ROWS && last && { since: last.since, id: last.id };
  return html`<p class="row">${query.after && html`<a rel="first" href="${addressOf({ ...query, after: undefined })}">Newest</a>`}${
    next && html`<a rel="next" href="${addressOf({ ...query, after: next })}">Older</a>`
  }</p>`;
}
