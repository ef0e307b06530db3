// timeout: 180

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { Pair, signal, signalAgent } from '../support/pair.ts';
import { amphoraeOf, ask, inAmphora, type Stand, startStand } from '../support/stand.ts';

// An agent of a pair that stands still, with haproxy, keepalived and firewall going on as they were: changes go on with the
// other amphora, and so do the VIPs, until it is back and in step.

const IN_TIME_MS = 15_000;

type Amphora = Awaited<ReturnType<typeof amphoraeOf>>[number];

let stand: Stand;
let pair: Pair;

test.before(async () => {
  stand = await startStand({
    netns_capacity: 2,
    heartbeat_interval_seconds: 0.5,
    heartbeat_timeout_seconds: 3,
    heartbeat_check_seconds: 0.5,
    failover_concurrency: 0,
  });
  pair = await Pair.create(stand, { vip_subnet_id: stand.network.subnet4 });
});
test.after(() => stand?.stop());

test('the agent of the one with the VIPs stands still: a change is in force within seconds, with the other one', async () => {
  const stopped = await pair.holder();
  const other = await peerOf(stopped);
  signalAgent(stopped, 'STOP');

  const beganAt = performance.now();
  await change('POST', '/v2.0/lbaas/listeners', {
    listener: {
      loadbalancer_id: pair.id,
      protocol: 'HTTP',
      protocol_port: 81,
      default_pool_id: await pool(),
    },
  });
  const tookMs = performance.now() - beganAt;
  assert.ok(tookMs < IN_TIME_MS, `ACTIVE after ${tookMs} ms`);
  assert.equal(await statuses(), { [stopped]: 'ERROR', [other]: 'ALLOCATED' });
  await waitFor('the VIPs to move', 10, async () => (await pair.holder()) === other || undefined);
  assert.match((await answer(81)) ?? '', /^member-/);

  await change('PUT', `/v2.0/lbaas/listeners/${await listener(80)}`, {
    listener: { allowed_cidrs: ['192.0.2.210/32'] },
  });
  assert.match((await answer(80, '192.0.2.210')) ?? '', /^member-/);
  assert.is(await answer(80, '192.0.2.99'), undefined);
});

test('when it goes on, it is brought into step before it counts, and the VIPs stay where they are', async () => {
  const holder = await pair.holder();
  const stopped = await peerOf(holder);
  assert.not.match(firewallOf(stopped), '192.0.2.210');
  signalAgent(stopped, 'CONT');
  await waitFor('the amphora to be ALLOCATED', 20, async () => {
    const is = await statuses();
    return (is[stopped] === 'ALLOCATED' && is[holder] === 'ALLOCATED') || undefined;
  });
  await waitFor('the same to be in force in both', 10, async () => {
    const [one, other] = (await amphoraeOf(stand, pair.id)) as [Amphora, Amphora];
    const same = haproxyOf(one) === haproxyOf(other);
    const peers = firewallOf(one.id).includes(other.vrrp_ip) && firewallOf(other.id).includes(one.vrrp_ip);
    return (same && peers) || undefined;
  });
  assert.match(firewallOf(stopped), '192.0.2.210');
  assert.is(await pair.holder(), holder);

  // Where the VIPs move to now, all of it is in force.
  await pair.gapsWhen((from) => signal(from, 'TERM', 'keepalived'));
  assert.match((await waitFor('an answer', 5, () => answer(81))) ?? '', /^member-/);
  assert.is(await answer(80, '192.0.2.99'), undefined);
});

test('a load balancer with an amphora whose agent stands still can be deleted', async () => {
  signalAgent(await peerOf(await pair.holder()), 'STOP');
  await stand.remove(pair.id);
  assert.equal(await stand.remains(), []);
});

async function change(method: 'POST' | 'PUT', path: string, body: object): Promise<void> {
  await stand.system.api(method, path, body);
  const { provisioning_status } = await stand.settled(pair.id);
  assert.is(provisioning_status, 'ACTIVE');
}

async function peerOf(amphora: string): Promise<string> {
  return (await pair.amphorae()).find((id) => id !== amphora) ?? '';
}

async function statuses(): Promise<Record<string, string>> {
  return Object.fromEntries((await amphoraeOf(stand, pair.id)).map(({ id, status }) => [id, status]));
}

async function listener(port: number): Promise<string> {
  const { listeners } = await stand.system.api<{ listeners: { id: string; protocol_port: number }[] }>(
    'GET',
    '/v2.0/lbaas/listeners',
  );
  return listeners.find(({ protocol_port }) => protocol_port === port)?.id ?? '';
}

async function pool(): Promise<string | undefined> {
  const { pools } = await stand.system.api<{ pools: { id: string }[] }>('GET', '/v2.0/lbaas/pools');
  return pools[0]?.id;
}

function answer(port: number, from?: string): Promise<string | undefined> {
  return ask(stand.client, `http://${pair.vips[0]}:${port}/`, from);
}

function firewallOf(amphora: string): string {
  return inAmphora(amphora, ['nft', '--stateless', 'list', 'ruleset']);
}

function haproxyOf({ id }: Amphora): string {
  return inAmphora(id, ['cat', `/var/lib/octavia/${pair.id}/haproxy.cfg.running`]);
}

test.run();
