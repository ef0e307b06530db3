import { Hono } from 'hono';
import { html } from 'hono/html';
import { Charts } from '../../visualizer/charts.ts';
import type { Api } from '../api.ts';
import { Fault, toFault } from '../fault.ts';
import { assetRoutes } from './assets.ts';
import { historyRoutes } from './history.ts';
import { machineRoutes } from './machines.ts';
import { answerPage } from './page.ts';

/** `/debug`: pages that show actors and their machines to operators. */
export function debugRoutes(api: Api): Hono {
  const charts = new Charts(api.machines);
  const routes = new Hono();
  routes.onError((error, context) => {
    const fault = toFault(error);
    // A defect of ours: logged where all are.
    if (fault === undefined) throw error;
    const title = fault.status === 404 ? 'Not found' : 'That did not work';
    const main = html`<p class="banner" data-tone="bad" role="alert">${fault.message}</p><p><a href="/debug/">All actors</a></p>`;
    return answerPage(context, { title, section: 'actors', main }, fault.status);
  });
  routes
    .route('/assets', assetRoutes())
    .route('/machines', machineRoutes(charts))
    .route('/actors', historyRoutes(api, charts));
  routes.get('/*', ({ req }) => {
    throw new Fault(404, `There is nothing at ${req.path}.`);
  });
  return routes;
}
