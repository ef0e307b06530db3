import { sql } from 'kysely';
import type { Db } from './database.ts';

/**
 * The VIP port of a load balancer is made before the transaction that stores the load balancer. An intent, committed
 * first, lets a sweep find the port when the process dies between the two.
 */
export async function insertVipIntent(db: Db, loadBalancerId: string, portName: string): Promise<void> {
  await db
    .insertInto('vip_intents')
    // Far longer than a request may take; the sweep needs to be sure that nobody is working on it.
    .values({
      load_balancer_id: loadBalancerId,
      port_name: portName,
      expires_at: sql`now() + interval '10 minutes'`,
    })
    .execute();
}

/**
 * Take an intent, that of one load balancer or any that has expired, and do away with what it stands for. Nobody else
 * can take it meanwhile, and it stays when `release` fails. Returns false when there is none: then the load balancer
 * was stored, or its port is gone already.
 */
export function takeVipIntent(
  db: Db,
  which: { loadBalancerId: string } | 'expired',
  release: (portName: string) => Promise<void>,
): Promise<boolean> {
  return db.transaction().execute(async (transaction) => {
    const intents = transaction.selectFrom('vip_intents').selectAll().limit(1).forUpdate();
    const intent = await (which === 'expired'
      ? intents.where('expires_at', '<', sql<Date>`now()`).skipLocked()
      : intents.where('load_balancer_id', '=', which.loadBalancerId)
    ).executeTakeFirst();
    if (intent === undefined) return false;
    await release(intent.port_name);
    await transaction
      .deleteFrom('vip_intents')
      .where('load_balancer_id', '=', intent.load_balancer_id)
      .execute();
    return true;
  });
}
