import { type Context, Hono } from 'hono';
import type { NodeReport } from '../../actors/control.ts';
import { recordAudit } from '../../store/actors.ts';
import { countFreePartitions, listNodes, lockNodes, type NodeRow, setDraining } from '../../store/nodes.ts';
import { type AdminEnv, adminOnly } from '../admin.ts';
import type { Api } from '../api.ts';
import { conflict, notFound } from '../fault.ts';

/** `/amphorae/nodes`: the processes that run actors, for administrators. Not part of Octavia. */
export function nodeRoutes({ db, config, control }: Api): Hono<AdminEnv> {
  const leaseMs = config.lease_seconds * 1000;
  const routes = new Hono<AdminEnv>();
  routes.use(adminOnly);

  routes.get('/', async (context) => {
    const [nodes, free_partitions] = await Promise.all([listNodes(db, leaseMs), countFreePartitions(db)]);
    const live = nodes.filter((node) => node.live).length;
    const reports = live > 0 ? await control?.ping(live) : undefined;
    const present = (node: NodeRow) => ({
      ...presentNode(node),
      ...presentReport(reports?.find((report) => report.node === node.id)),
    });
    return context.json({ nodes: nodes.map(present), free_partitions });
  });

  const turn = async (context: Context<AdminEnv>, draining: boolean) => {
    const id = context.req.param('id') ?? '';
    const node = await db.transaction().execute(async (transaction) => {
      const nodes = await lockNodes(transaction, leaseMs);
      const found = nodes.find((each) => each.id === id);
      if (found === undefined) throw notFound('Node', id);
      const others = nodes.some((each) => each !== found && each.live && !each.draining);
      if (draining && !others) {
        throw conflict(
          `Node ${id} is the only one that works: without it, nothing would become of any load balancer. Start or resume another one first.`,
        );
      }
      await setDraining(transaction, id, draining);
      await recordAudit(transaction, {
        operator: context.get('operator'),
        action: draining ? 'drain-node' : 'resume-node',
        actor: null,
        payload: { node: id, draining: found.draining },
      });
      return { ...found, draining };
    });
    control?.leasesChanged();
    return context.json({ node: presentNode(node) }, 202);
  };

  routes.post('/:id/drain', (context) => turn(context, true));
  routes.post('/:id/resume', (context) => turn(context, false));
  return routes;
}

function presentNode(node: NodeRow) {
  const { id, draining, seen_at, partitions } = node;
  return { id, state: stateOf(node), draining, seen_at, partitions };
}

/** What only the node itself knows. */
function presentReport(report: NodeReport | undefined) {
  const { version = null, since = null, actors = null, effects = null } = report ?? {};
  return { answers: report !== undefined, version, since, actors, effects };
}

/** `silent`: it has not renewed its leases, so that others have them, or will. */
function stateOf({ live, draining, partitions }: NodeRow): 'working' | 'draining' | 'drained' | 'silent' {
  if (!live) return 'silent';
  if (!draining) return 'working';
  return partitions > 0 ? 'draining' : 'drained';
}
