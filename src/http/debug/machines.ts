import { Hono } from 'hono';
import { html, raw } from 'hono/html';
import type { ActorKind } from '../../machines/address.ts';
import type { Charts } from '../../visualizer/charts.ts';
import type { ChartTransition } from '../../visualizer/statechart.ts';
import type { Highlight } from '../../visualizer/svg.ts';
import { notFound } from '../fault.ts';
import { answerPage, type Fragment } from './page.ts';

/** `/debug/machines`: all machines, and each with its states and transitions in words. */
export function machineRoutes(charts: Charts): Hono {
  const routes = new Hono();
  routes.get('/', async (context) => {
    const panels = charts.kinds().map(
      async (kind) => html`<section class="panel" aria-labelledby="${kind}">
<h2 id="${kind}"><a href="/debug/machines/${kind}">${kind}</a></h2>
<p>${summary(charts, kind)}</p>
${await chartFrame(charts, kind)}
</section>`,
    );
    const main = html`${legend()}${await Promise.all(panels)}`;
    return answerPage(context, { title: 'Machines', section: 'machines', main, scripts: ['chart.js'] });
  });

  routes.get('/:kind', async (context) => {
    const kind = charts.kinds().find((known) => known === context.req.param('kind'));
    if (kind === undefined) throw notFound('Machine', context.req.param('kind'));
    const main = html`<p>${summary(charts, kind)}</p>
<section class="panel" aria-label="Picture">${legend()}${await chartFrame(charts, kind)}</section>
${transitionTable(charts, kind)}`;
    return answerPage(context, {
      title: `Machine ${kind}`,
      section: 'machines',
      main,
      scripts: ['chart.js'],
    });
  });
  return routes;
}

/** A machine's picture in a frame that scrolls where there is no room for it. */
export async function chartFrame(charts: Charts, kind: ActorKind, highlight?: Highlight): Promise<Fragment> {
  const picture = await charts.picture(kind, highlight);
  const id = `chart-${kind}`;
  return html`<div class="chart-view">
<button type="button" data-fit aria-controls="${id}" aria-pressed="false" hidden>Whole picture</button>
<div class="chart-frame" id="${id}" role="region" tabindex="0" aria-label="Picture of the statechart of ${kind}">${raw(picture)}</div>
</div>`;
}

function legend(): Fragment {
  return html`<p class="soft">A box is a state; the dot marks the one that is entered first. <code>⚙</code> is an effect that runs while the
state lasts. What stands in a box and points nowhere changes no state.</p>`;
}

function summary(charts: Charts, kind: ActorKind): string {
  const { states, transitions } = charts.chart(kind);
  return `Version ${charts.version(kind)}: ${states.size - 1} states, ${transitions.length} transitions.`;
}

function transitionTable(charts: Charts, kind: ActorKind): Fragment {
  const { transitions } = charts.chart(kind);
  return html`<section class="panel">
<h2>Transitions</h2>
<div class="scroll" role="region" tabindex="0" aria-label="Transitions">
<table>
<thead><tr><th scope="col">In state</th><th scope="col">On</th><th scope="col">Provided</th><th scope="col">To</th></tr></thead>
<tbody>${transitions.map(transitionRow)}</tbody>
</table>
</div>
</section>`;
}

function transitionRow({ from, label, condition, to }: ChartTransition): Fragment {
  return html`<tr><td>${from || 'any'}</td><td><code>${label}</code></td><td>${condition.replace(/^if /, '')}</td><td>${to ?? 'stays'}</td></tr>`;
}
