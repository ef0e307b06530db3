// timeout: 180
import { execFileSync } from 'node:child_process';
import { sql } from 'kysely';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ask, type Stand, startStand, webListener } from '../support/stand.ts';
import type { LoadBalancer } from '../support/system.ts';

// What an operator meets when something is missing: each load balancer ends in ERROR with the reason, everything that
// was made for it is given back, it can be deleted, and its neighbours notice nothing.

let stand: Stand;
test.before(async () => {
  stand = await startStand({
    netns_stand_in_vfs: 1,
    boot_deadline_seconds: 4,
    agent_deadline_seconds: 4,
    agent_request_seconds: 1,
    effect_attempts: 3,
    effect_backoff_seconds: 0.2,
  });
});
test.after(() => stand?.stop());

/** A test after which nothing may be left. */
function scenario(name: string, work: () => Promise<void>): void {
  test(name, async () => {
    await work();
    assert.equal(await stand.remains(), []);
  });
}

scenario('a flavor that no host satisfies: ERROR, released, deletable', async () => {
  const balancer = await stand.create({ flavor_id: await flavor('huge', { compute_flavor: 'huge' }) });
  assertFailed(balancer, 'no_valid_host', /no host satisfies compute flavor huge/);
  assert.equal(await stand.remains(), []);
  await stand.remove(balancer.id);
});

scenario('no VF left: ERROR for the one that came late, and the first goes on serving', async () => {
  const sriov = await flavor('sriov', { sriov_vip: true, allow_member_sriov: true });
  const listeners = [
    webListener(stand, {
      default_pool: {
        name: 'web',
        protocol: 'HTTP',
        lb_algorithm: 'ROUND_ROBIN',
        members: [{ address: stand.members[0]?.address4, protocol_port: 8080 }],
      },
    }),
  ];
  const first = await stand.create({ flavor_id: sriov, listeners });
  assert.is(first.provisioning_status, 'ACTIVE');
  assert.is(first.vip_vnic_type, 'direct');
  const second = await stand.create({ flavor_id: sriov, listeners });
  assertFailed(second, 'no_vf_left', /VF/);
  assert.is(await ask(stand.client, `http://${first.vip_address}/`), 'member-1');
  await stand.remove(second.id);
  await stand.remove(first.id);
});

scenario('a port that cannot be plugged: ERROR after its retries, released', async () => {
  const { network_id, subnet_id, bridge } = await stand.system.api<Record<string, string>>(
    'POST',
    '/v2.0/amphorae/networks',
    { network: { name: 'broken', cidrs: [{ cidr: '198.51.100.0/24' }], vnic_types: ['normal'] } },
  );
  // Something else has the bridge's name: no port can be put on it.
  ip('link', 'delete', bridge ?? '');
  ip('link', 'add', bridge ?? '', 'type', 'veth', 'peer', 'name', 'amptother');
  const balancer = await stand.create({ vip_subnet_id: subnet_id });
  assertFailed(balancer, undefined, new RegExp(bridge ?? ''));
  assert.equal(await statesOf(balancer.id), [
    'placing',
    'booting',
    'portPlug',
    'portPlugFailure',
    'releasing',
    'DELETED',
  ]);
  assert.equal(await stand.remains(), []);
  await stand.remove(balancer.id);
  ip('link', 'delete', 'amptother');
  await stand.system.api('DELETE', `/v2.0/amphorae/networks/${network_id}`);
});

scenario('an agent that never answers: ERROR when the boot deadline passes, released', async () => {
  await withoutManagement(async () => {
    const balancer = await stand.create({});
    assertFailed(balancer, 'agent_unreachable', /agent/);
    assert.equal(await statesOf(balancer.id), ['placing', 'booting', 'bootFailure', 'releasing', 'DELETED']);
    assert.equal(await stand.remains(), []);
    await stand.remove(balancer.id);
  });
});

scenario(
  'an agent that stops answering: the change is in ERROR, the load balancer serves, the next change heals',
  async () => {
    const balancer = await stand.create({ listeners: [webListener(stand)] });
    assert.is(balancer.provisioning_status, 'ACTIVE');
    let listener = '';
    await withoutManagement(async () => {
      const created = await stand.system.api<{ listener: { id: string } }>('POST', '/v2.0/lbaas/listeners', {
        listener: { loadbalancer_id: balancer.id, protocol: 'HTTP', protocol_port: 81 },
      });
      listener = created.listener.id;
      assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
      assert.is((await show('listeners', listener)).provisioning_status, 'ERROR');
      assert.match(
        JSON.stringify((await show('listeners', listener)).provisioning_error),
        /agent_unreachable/,
      );
      assert.ok(await ask(stand.client, `http://${balancer.vip_address}/`));
    });
    await stand.system.api('PUT', `/v2.0/lbaas/listeners/${listener}`, { listener: { name: 'again' } });
    assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
    assert.is((await show('listeners', listener)).provisioning_status, 'ACTIVE');
    await stand.remove(balancer.id);
  },
);

scenario(
  'a member that finds no VF: the member is in ERROR, its port is gone, the load balancer serves',
  async () => {
    const network = await stand.system.api<Record<string, string>>('POST', '/v2.0/amphorae/networks', {
      network: { name: 'far', cidrs: [{ cidr: '203.0.113.0/24' }], vnic_types: ['normal', 'direct'] },
    });
    const sriov = await flavor('member-vf', { allow_member_sriov: true });
    const listeners = [webListener(stand)];
    const holder = await stand.create({ flavor_id: sriov, listeners });
    const late = await stand.create({ flavor_id: sriov, listeners });
    const add = async (balancer: LoadBalancer) => {
      const pools = balancer.pools as { id: string }[];
      const path = `/v2.0/lbaas/pools/${pools[0]?.id}/members`;
      const { member } = await stand.system.api<{ member: { id: string } }>('POST', path, {
        member: {
          address: '203.0.113.77',
          protocol_port: 80,
          subnet_id: network.subnet_id,
          request_sriov: true,
        },
      });
      assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
      return {
        path: `${path}/${member.id}`,
        ...(await stand.system.api<{ member: LoadBalancer }>('GET', `${path}/${member.id}`)).member,
      };
    };
    assert.is((await add(holder)).provisioning_status, 'ACTIVE');
    const failed = await add(late);
    assert.is(failed.provisioning_status, 'ERROR');
    assert.match(JSON.stringify(failed), /no_vf_left/);
    const memberPorts = await stand.db
      .selectFrom('netns_ports')
      .select('name')
      .where('name', 'like', '%member%')
      .execute();
    assert.is(memberPorts.length, 1, 'only the first load balancer has a member port');
    assert.ok(await ask(stand.client, `http://${late.vip_address}/`));
    await stand.system.api('DELETE', failed.path);
    assert.is((await stand.settled(late.id)).provisioning_status, 'ACTIVE');
    await stand.remove(late.id);
    await stand.remove(holder.id);
    await stand.system.api('DELETE', `/v2.0/amphorae/networks/${network.network_id}`);
  },
);

function assertFailed(balancer: LoadBalancer, code: string | undefined, message: RegExp): void {
  assert.is(balancer.provisioning_status, 'ERROR');
  const error = balancer.provisioning_error as { code: string; message: string };
  if (code) assert.is(error.code, code, error.message);
  assert.match(error.message, message, error.message);
}

async function flavor(name: string, data: object): Promise<string> {
  const { flavorprofile } = await stand.system.api<{ flavorprofile: { id: string } }>(
    'POST',
    '/v2.0/lbaas/flavorprofiles',
    {
      flavorprofile: { name, provider_name: 'amphora', flavor_data: JSON.stringify(data) },
    },
  );
  const created = await stand.system.api<{ flavor: { id: string } }>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name, flavor_profile_id: flavorprofile.id },
  });
  return created.flavor.id;
}

async function show(resource: string, id: string): Promise<LoadBalancer> {
  const answer = await stand.system.api<Record<string, LoadBalancer>>('GET', `/v2.0/lbaas/${resource}/${id}`);
  return Object.values(answer)[0] as LoadBalancer;
}

/** The states that the amphora of a load balancer went through. */
async function statesOf(loadBalancerId: string): Promise<string[]> {
  const rows = await stand.db
    .selectFrom('actor_events')
    .innerJoin('actors', 'actors.id', 'actor_events.actor_id')
    .select('actor_events.to_state as state')
    .where('actors.kind', '=', 'amphora')
    .where(sql<string>`actors.input->>'loadBalancerId'`, '=', loadBalancerId)
    .orderBy('actor_events.seq')
    .execute();
  return rows.map(({ state }) => state);
}

/** Drop what the controller sends to amphorae while something is tried. */
async function withoutManagement(work: () => Promise<void>): Promise<void> {
  const table = ['inet', `amphorae_test_${process.pid}`];
  nft('add', 'table', ...table);
  nft('add', 'chain', ...table, 'cut', '{ type filter hook output priority 0; }');
  nft('add', 'rule', ...table, 'cut', 'oifname', stand.system.config.netns_management_bridge, 'drop');
  try {
    await work();
  } finally {
    nft('delete', 'table', ...table);
  }
}

function nft(...args: string[]): void {
  execFileSync('nft', args, { env });
}

const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

function ip(...args: string[]): void {
  execFileSync('ip', args, { env });
}

test.run();
