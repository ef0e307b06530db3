// timeout: 180
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { amphoraeOf, ask, type Stand, startStand, webListener } from '../support/stand.ts';
import type { LoadBalancer } from '../support/system.ts';

// Failover by request: the new amphora is made before the old one goes, and a failover that fails leaves what works working.

/** A client that missed the announcement of the new amphora hears the next one, up to 3 s after it was plugged. */
const ANNOUNCED_SECONDS = 3;
/** VRRP needs a few seconds to elect a master. */
const ELECTED_SECONDS = 15;

let stand: Stand;
test.before(async () => {
  stand = await startStand({ netns_capacity: 3 });
});
test.after(() => stand?.stop());

test('a single amphora is replaced, and the load balancer serves again at once', async () => {
  const balancer = await serving();
  const [before] = await amphoraeOf(stand, balancer.id);
  const { lost } = await underLoad(balancer, async () => {
    await failOver(`lbaas/loadbalancers/${balancer.id}`);
    assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  });
  const after = await amphoraeOf(stand, balancer.id);
  assert.is(after.length, 1);
  assert.is.not(after[0]?.id, before?.id);
  assert.ok(lost <= 2, `${lost} requests were lost; only those in flight may be`);
  await stand.remove(balancer.id);
  assert.equal(await stand.remains(), []);
});

test('an amphora is replaced by its own id', async () => {
  const balancer = await serving();
  const [before] = await amphoraeOf(stand, balancer.id);
  await failOver(`octavia/amphorae/${before?.id}`);
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  const after = await amphoraeOf(stand, balancer.id);
  assert.is(after.length, 1);
  assert.is.not(after[0]?.id, before?.id);
  await answers(balancer);
  await stand.remove(balancer.id);
});

test('a failover that finds no host: ERROR with the reason, no request is lost, and it can be repeated', async () => {
  const balancer = await serving();
  const others = [await stand.create(), await stand.create()];
  const [before] = await amphoraeOf(stand, balancer.id);
  const { lost } = await underLoad(balancer, async () => {
    await failOver(`lbaas/loadbalancers/${balancer.id}`);
    const failed = await stand.settled(balancer.id);
    assert.is(failed.provisioning_status, 'ERROR');
    assert.match(JSON.stringify(failed), /no_valid_host/);
  });
  assert.is(lost, 0);
  assert.equal(
    (await amphoraeOf(stand, balancer.id)).map(({ id }) => id),
    [before?.id],
  );

  for (const { id } of others) await stand.remove(id);
  await failOver(`lbaas/loadbalancers/${balancer.id}`);
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  await answers(balancer);
  await stand.remove(balancer.id);
  assert.equal(await stand.remains(), []);
});

test('a load balancer whose creation failed is made by failover', async () => {
  const holders = [await stand.create(), await stand.create(), await stand.create()];
  const balancer = await stand.create({ listeners: [webListener(stand)] });
  assert.is(balancer.provisioning_status, 'ERROR');
  for (const { id } of holders) await stand.remove(id);
  await failOver(`lbaas/loadbalancers/${balancer.id}`);
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  await answers(balancer);
  const { statuses } = await stand.system.api<{ statuses: { loadbalancer: { listeners: LoadBalancer[] } } }>(
    'GET',
    `/v2.0/lbaas/loadbalancers/${balancer.id}/status`,
  );
  assert.equal(
    statuses.loadbalancer.listeners.map((each) => each.provisioning_status),
    ['ACTIVE'],
  );
  await stand.remove(balancer.id);
  assert.equal(await stand.remains(), []);
});

test('both amphorae of a pair are replaced, one after the other', async () => {
  const { flavorprofile } = await stand.system.api<{ flavorprofile: { id: string } }>(
    'POST',
    '/v2.0/lbaas/flavorprofiles',
    {
      flavorprofile: {
        name: 'pair',
        provider_name: 'amphora',
        flavor_data: '{"loadbalancer_topology": "ACTIVE_STANDBY"}',
      },
    },
  );
  const { flavor } = await stand.system.api<{ flavor: { id: string } }>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name: 'pair', flavor_profile_id: flavorprofile.id },
  });
  const balancer = await stand.create({ flavor_id: flavor.id, listeners: [webListener(stand)] });
  assert.is(balancer.provisioning_status, 'ACTIVE');
  await answers(balancer, ELECTED_SECONDS);
  const before = (await amphoraeOf(stand, balancer.id)).map(({ id }) => id);
  await failOver(`lbaas/loadbalancers/${balancer.id}`);
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  const after = (await amphoraeOf(stand, balancer.id)).map(({ id }) => id);
  assert.is(after.length, 2);
  assert.not.ok(
    after.some((id) => before.includes(id)),
    'both are new',
  );
  await answers(balancer, ELECTED_SECONDS);
  await stand.remove(balancer.id);
  assert.equal(await stand.remains(), []);
});

const url = ({ vip_address }: LoadBalancer) => `http://${vip_address}/`;

async function serving(): Promise<LoadBalancer> {
  const balancer = await stand.create({ listeners: [webListener(stand)] });
  assert.is(balancer.provisioning_status, 'ACTIVE');
  await answers(balancer);
  return balancer;
}

function failOver(path: string): Promise<unknown> {
  return stand.system.api('PUT', `/v2.0/${path}/failover`);
}

/** It serves within that time; else what curl said last. */
async function answers(balancer: LoadBalancer, seconds = ANNOUNCED_SECONDS): Promise<void> {
  for (const deadline = Date.now() + seconds * 1_000; ; ) {
    try {
      await stand.client.curl(url(balancer), 1);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

/** Ask all the time while something is done; how many questions had no answer. */
async function underLoad(balancer: LoadBalancer, work: () => Promise<void>): Promise<{ lost: number }> {
  let working = true;
  let lost = 0;
  const load = (async () => {
    while (working) if (!(await ask(stand.client, url(balancer)))) lost += 1;
  })();
  try {
    await work();
  } finally {
    working = false;
    await load;
  }
  return { lost };
}

test.run();
