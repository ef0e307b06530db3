import type { Mailbox } from '../actors/mailbox.ts';
import { recordAudit } from '../store/actors.ts';
import type { Db, Queryable } from '../store/database.ts';
import {
  countFailovers,
  type FailoverLimiterRow,
  insertFailover,
  LIMITER,
  listUntold,
  lockLimiter,
  lockWaiting,
  turnLimiter,
} from '../store/failovers.ts';
import { updateLoadBalancer } from '../store/load-balancers.ts';
import type { FailoverQueue, Round } from './limiter.ts';

/** Automatic failovers in PostgreSQL: a round is a transaction that holds the limiter's row. */
export function postgresFailoverQueue(db: Db, mailbox: Mailbox): FailoverQueue {
  return {
    round: (work) =>
      db.transaction().execute(async (transaction) => {
        const limiter = await lockLimiter(transaction);
        return limiter && work(roundIn(transaction, limiter, mailbox));
      }),
  };
}

function roundIn(transaction: Queryable, { state, changed_by }: FailoverLimiterRow, mailbox: Mailbox): Round {
  return {
    async census(windowMs) {
      const counts = await countFailovers(transaction, windowMs);
      return { state, byOperator: changed_by !== LIMITER, ...counts };
    },
    async turn(next, reason) {
      await turnLimiter(transaction, { state: next, reason, by: LIMITER });
      const action = next === 'stopped' ? 'stop-failovers' : 'resume-failovers';
      await recordAudit(transaction, { operator: LIMITER, action, actor: null, payload: { reason } });
    },
    async waiting(limit, windowMs) {
      const rows = await lockWaiting(transaction, { limit, windowMs });
      return rows.map(({ id, ...row }) => ({ loadBalancerId: id, ...row }));
    },
    async holdBack() {
      const envelopes = [];
      for (const { amphoraId, loadBalancerId } of await listUntold(transaction)) {
        const event = { type: 'AMPHORA_FAILOVER_STOPPED', amphoraId };
        envelopes.push(await mailbox.send(transaction, actorOf(loadBalancerId), event));
      }
      return envelopes;
    },
    async begin(loadBalancerId, replacements) {
      await updateLoadBalancer(transaction, loadBalancerId, { provisioning_status: 'PENDING_UPDATE' });
      await insertFailover(transaction, loadBalancerId);
      const event = { type: 'FAILOVER', replacements, automatic: true };
      return mailbox.send(transaction, actorOf(loadBalancerId), event);
    },
  };
}

function actorOf(loadBalancerId: string) {
  return { kind: 'load-balancer', id: loadBalancerId, loadBalancerId } as const;
}
