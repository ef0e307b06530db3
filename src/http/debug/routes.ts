import { Hono } from 'hono';
import { html } from 'hono/html';
import { Charts } from '../../visualizer/charts.ts';
import type { Api } from '../api.ts';
import type { EventStreams } from '../event-streams.ts';
import { Fault, toFault } from '../fault.ts';
import { answerActor } from './actor-page.ts';
import { assetRoutes } from './assets.ts';
import { commandRoutes } from './commands.ts';
import { eventRoutes } from './events.ts';
import { historyRoutes } from './history.ts';
import { answerList } from './list-page.ts';
import { machineRoutes } from './machines.ts';
import { answerPage } from './page.ts';
import { sessionRoutes, signedIn } from './session.ts';

/** `/debug`: pages that show actors and their machines to operators. */
export function debugRoutes(api: Api, streams: EventStreams): Hono {
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
  routes.route('/assets', assetRoutes()).route('/', sessionRoutes(api));
  routes.use(...signedIn(api));
  routes
    .route('/machines', machineRoutes(charts))
    .route('/', eventRoutes(api, charts, streams))
    .route('/actors', historyRoutes(api, charts))
    .route('/actors', commandRoutes(api));
  routes.get('/', (context) => answerList(context, api, charts));
  routes.get('/actors/:kind/:id', (context) => answerActor(context, api, charts));
  routes.get('/*', ({ req }) => {
    throw new Fault(404, `There is nothing at ${req.path}.`);
  });
  return routes;
}
