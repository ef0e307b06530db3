// timeout: 180
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { namespaceName } from '../../src/providers/netns/names.ts';
import { initOf } from '../../src/providers/netns/processes.ts';
import { amphoraeOf, ask, type Stand, startStand, webListener } from '../support/stand.ts';
import type { LoadBalancer } from '../support/system.ts';

// Agents in their namespaces report over the management network to whichever of two controllers hears them.

let stand: Stand;
let balancer: LoadBalancer;
const api = <T>(path: string) => stand.system.api<T>('GET', `/v2.0${path}`);

test.before(async () => {
  stand = await startStand(
    { heartbeat_interval_seconds: 0.5, heartbeat_timeout_seconds: 4, heartbeat_check_seconds: 0.5 },
    { nodes: 2 },
  );
  const listener = webListener(stand) as { default_pool: object };
  const healthmonitor = { type: 'TCP', delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1 };
  balancer = await stand.create({
    listeners: [{ ...listener, default_pool: { ...listener.default_pool, healthmonitor } }],
  });
});
test.after(() => stand?.stop());

const url = () => `http://${balancer.vip_address}/`;

async function statuses() {
  const { statuses } = await api<{
    statuses: { loadbalancer: { operating_status: string; listeners: Listener[] } };
  }>(`/lbaas/loadbalancers/${balancer.id}/status`);
  const [listener] = statuses.loadbalancer.listeners;
  const [pool] = listener?.pools ?? [];
  const each = [statuses.loadbalancer, listener, pool, ...(pool?.members ?? [])];
  return each.map((object) => object?.operating_status).join(' ');
}
interface Listener {
  operating_status: string;
  pools: { operating_status: string; members: { operating_status: string }[] }[];
}

const become = (expected: RegExp) =>
  waitFor(`the statuses to be ${expected}`, 15, async () =>
    expected.test(await statuses()) ? true : undefined,
  ).catch(async (error: Error) => {
    throw new Error(`${error.message}; they are ${await statuses()}`);
  });

test('what works is ONLINE', async () => {
  await become(/^ONLINE ONLINE ONLINE ONLINE ONLINE$/);
});

test('statistics count what went through', async () => {
  for (let count = 0; count < 5; count += 1) assert.ok(await ask(stand.client, url()));
  const { stats } = await waitFor('five connections to be counted', 15, async () => {
    const answer = await api<{ stats: Record<string, number> }>(`/lbaas/loadbalancers/${balancer.id}/stats`);
    return answer.stats.total_connections === 5 ? answer : undefined;
  });
  assert.ok((stats.bytes_in ?? 0) > 200 && (stats.bytes_out ?? 0) > 200);
  assert.equal([stats.active_connections, stats.request_errors], [0, 0]);
  const [amphora] = await amphoraeOf(stand, balancer.id);
  const { amphora_stats } = await api<{ amphora_stats: Record<string, unknown>[] }>(
    `/octavia/amphorae/${amphora?.id}/stats`,
  );
  assert.is(amphora_stats[0]?.bytes_in, stats.bytes_in);
});

test('a member that goes away makes ERROR of itself and DEGRADED of what is above, until it is back', async () => {
  const [member] = stand.members;
  await member?.namespace.exec(['ip', 'link', 'set', 'lo', 'down']);
  await member?.namespace.exec(['ip', 'address', 'delete', `${member.address4}/24`, 'dev', 'eth0']);
  await become(/^DEGRADED ONLINE DEGRADED (ERROR ONLINE|ONLINE ERROR)$/);
  await member?.namespace.exec(['ip', 'address', 'add', `${member.address4}/24`, 'dev', 'eth0']);
  await become(/^ONLINE ONLINE ONLINE ONLINE ONLINE$/);
});

test('nobody but root can read the key', () => {
  assert.is(statSync(join(stand.system.dataDir, 'heartbeat.key')).mode & 0o777, 0o600);
});

test('an amphora that dies is noticed', async () => {
  const [amphora] = await amphoraeOf(stand, balancer.id);
  const init = initOf(namespaceName(amphora?.id ?? ''));
  process.kill(init ?? Number.NaN, 'SIGKILL');
  await waitFor('the load balancer to be told', 20, async () => {
    const stale = await stand.db
      .selectFrom('actor_events')
      .select('version')
      .where('actor_id', '=', balancer.id)
      .where(sql`event ->> 'type'`, '=', 'AMPHORA_STALE')
      .execute();
    return stale.length > 0 || undefined;
  });
});

test.run();
