import { Hono } from 'hono';
import { recordAudit } from '../../store/actors.ts';
import type { Queryable } from '../../store/database.ts';
import { countFailovers, findLimiter, turnLimiter } from '../../store/failovers.ts';
import { type AdminEnv, adminOnly } from '../admin.ts';
import type { Api } from '../api.ts';

/** `/amphorae/failovers`: the failovers that nobody asked for, for administrators. Not part of Octavia. */
export function failoverRoutes({ db, config }: Api): Hono<AdminEnv> {
  const routes = new Hono<AdminEnv>();
  routes.use(adminOnly);

  const describe = async (queryable: Queryable) => {
    const windowMs = config.failover_window_seconds * 1000;
    const { state, reason, changed_at, changed_by } = await findLimiter(queryable);
    const { amphorae, stale, running, recent } = await countFailovers(queryable, windowMs);
    const limits = {
      concurrency: config.failover_concurrency,
      window_limit: config.failover_window_limit,
      window_seconds: config.failover_window_seconds,
      stop_percent: config.failover_stop_percent,
      stop_minimum: config.failover_stop_minimum,
    };
    const counts = { amphorae, stale_amphorae: stale, running, begun_in_window: recent };
    return { failovers: { state, reason, changed_at, changed_by, ...counts, limits } };
  };

  const turn = (state: 'stopped' | 'overridden', action: string, operator: string) =>
    db.transaction().execute(async (transaction) => {
      const { state: before, reason } = await findLimiter(transaction);
      const because = state === 'stopped' ? `stopped by ${operator}` : '';
      await turnLimiter(transaction, { state, reason: because, by: operator });
      await recordAudit(transaction, { operator, action, actor: null, payload: { state: before, reason } });
      return describe(transaction);
    });

  routes.get('/', async (context) => context.json(await describe(db)));
  routes.post('/stop', async (context) =>
    context.json(await turn('stopped', 'stop-failovers', context.get('operator'))),
  );
  routes.post('/resume', async (context) =>
    context.json(await turn('overridden', 'resume-failovers', context.get('operator'))),
  );
  return routes;
}
