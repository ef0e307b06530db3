import { type ChildProcess, spawn } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DATA_PLANE_NAMESPACE } from '../../src/amphora-api/headers.ts';
import { RestClient } from '../../src/cli/rest-client.ts';
import { freeAddress } from '../../src/cli/up/address.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { namespaceName } from '../../src/providers/netns/names.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import type { LoadBalancer } from '../support/system.ts';
import { HOST, SriovGuest } from './guest.ts';

// Load balancers whose VIPs are on real VFs. Controller and amphorae are in the machine; its database and its broker, which
// emulation would slow down, and this test are outside. `npm run test:sriov` makes the machine first; not part of `npm test`.

const [, , MADE = ''] = process.argv;
const API_PORT = 9876;
const VLAN = 100;
const BACK_VLAN = 101;
/** Of the NIC for amphorae: one load balancer and its link to a member, a pair, and one more. */
const VFS = 5;
const MEMBERS = ['192.0.2.201', '192.0.2.202'];
/** Of a network of its own. */
const BACK_MEMBER = '198.51.100.203';
const CLIENT = '192.0.2.200';
const SLOW = 300;

let guest: SriovGuest;
let postgres: TestPostgres;
let nats: TestNats;
let relay: ChildProcess;
let api: RestClient;
let subnet = '';
let backSubnet = '';

test.before(async () => {
  postgres = await startTestPostgres();
  nats = await startTestNats();
  const database = await freeAddress('127.0.0.1:0');
  const socket = `${new URL(postgres.url).searchParams.get('host')}/.s.PGSQL.5432`;
  const [, port = ''] = database.split(':');
  relay = spawn('socat', [`TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr`, `UNIX-CONNECT:${socket}`]);
  guest = await SriovGuest.start(MADE, API_PORT);
  await makeVfs();
  await startController(`postgresql://amphorae@${HOST}:${port}/amphorae`);
  api = new RestClient(`http://${guest.api}`);
  await waitFor('the controller', SLOW, () => api.call('GET', '/')).catch(async ({ message }: Error) => {
    throw new Error(`${message}; it says: ${await inside('tail -n 20 /tmp/controller.log')}`);
  });
  subnet = await createNetwork('front', '192.0.2.0/24', VLAN);
  backSubnet = await createNetwork('back', '198.51.100.0/24', BACK_VLAN);
  await attach(0, 'client', CLIENT, VLAN);
  const members = [...MEMBERS.map((address) => [address, VLAN] as const), [BACK_MEMBER, BACK_VLAN] as const];
  for (const [index, [address, vlan]] of members.entries()) {
    await attach(index + 1, `member${index + 1}`, address, vlan);
    await serve(`member${index + 1}`);
  }
});
test.after(async () => {
  relay?.kill();
  guest?.stop();
  await nats?.stop();
  await postgres?.stop();
});

test('a VIP on a VF serves members on VFs; MAC, VLAN and spoof check are the NIC’s, and trust is never asked for', async () => {
  const sriov = { sriov_vip: true, allow_member_sriov: true };
  const balancer = await create({ flavor_id: await flavor(sriov), allowed: `${CLIENT}/32` });
  assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
  const [amphora = ''] = await amphoraeOf(balancer.id);
  const [{ address }] = JSON.parse(await inAmphora(amphora, 'ip -json link show dev eth1'));
  const vf = (await vfs()).find(({ mac }) => mac === address);
  assert.equal(vf, { mac: address, vlan: VLAN, spoofchk: true, trust: false });
  for (const [index] of MEMBERS.entries()) {
    await waitFor(`member ${index + 1}`, 60, async () =>
      (await ask(balancer.vip_address)) === `member${index + 1}` ? true : undefined,
    );
  }
});

test('the firewall in the amphora filters what comes through its VF', async () => {
  const [balancer] = await balancers();
  assert.ok(balancer);
  assert.is(await ask(`${balancer.vip_address}:81`), '');
  assert.is(await ask(balancer.vip_address, 'member1'), '');
  assert.match(await ask(balancer.vip_address), /^member/);
});

test('a member of another network gets a VF of its own while the amphora runs, through which only its answers come', async () => {
  const [balancer] = await balancers();
  assert.ok(balancer);
  const [pool] = (await api.call<{ pools: { id: string }[] }>('GET', '/v2.0/lbaas/pools')).pools;
  await api.call('POST', `/v2.0/lbaas/pools/${pool?.id}/members`, {
    member: { address: BACK_MEMBER, protocol_port: 8080, subnet_id: backSubnet, request_sriov: true },
  });
  assert.is((await settled(balancer.id)).provisioning_status, 'ACTIVE');
  const [amphora = ''] = await amphoraeOf(balancer.id);
  const [link] = JSON.parse(await inAmphora(amphora, 'ip -json -4 address show dev eth2'));
  const [{ address: mac }] = JSON.parse(await inAmphora(amphora, 'ip -json link show dev eth2'));
  const vf = (await vfs()).find((each) => each.mac === mac);
  assert.equal(vf, { mac, vlan: BACK_VLAN, spoofchk: true, trust: false });

  await waitFor('the member', 60, async () =>
    (await ask(balancer.vip_address)) === 'member3' ? true : undefined,
  );
  assert.match(await inAmphora(amphora, 'nft list map inet amphora arrivals'), /"eth2" : jump member/);
  assert.is(await inAmphora(amphora, 'conntrack -C'), '0');
  // The member's chain admits what its port answers, and nothing that the member begins.
  const own = link.addr_info[0].local;
  await inside(`ip -n member3 route replace ${balancer.vip_address}/32 via ${own} dev port`);
  for (const target of [own, balancer.vip_address]) assert.is(await ask(target, 'member3'), '');
});

test('the VIP of a pair moves from VF to VF', async () => {
  const topology = { sriov_vip: true, loadbalancer_topology: 'ACTIVE_STANDBY' };
  const balancer = await create({ flavor_id: await flavor(topology) });
  assert.is(balancer.provisioning_status, 'ACTIVE', JSON.stringify(balancer.provisioning_error));
  const holderOf = async (candidates: string[]) => {
    for (const each of candidates) {
      const addresses = await inAmphora(each, 'ip -brief address show dev eth1');
      if (addresses.includes(` ${balancer.vip_address}/`)) return each;
    }
    return undefined;
  };
  const amphorae = await amphoraeOf(balancer.id);
  const holder = await waitFor('a holder of the VIP', 120, () => holderOf(amphorae)).catch(
    async ({ message }: Error) => {
      const [one = ''] = amphorae;
      const state =
        'ip -brief address; tail -n 20 /run/amphora/keepalived.log; cat /var/lib/octavia/vrrp/health';
      throw new Error(`${message}; ${await inAmphora(one, state)}`);
    },
  );
  assert.match(await untilAnswered(balancer.vip_address), /^member/);
  await inAmphora(holder, 'pkill -KILL --exact keepalived; ip link set eth1 down');
  const others = amphorae.filter((id) => id !== holder);
  await waitFor('the VIP to move', 60, () => holderOf(others));
  assert.match(await untilAnswered(balancer.vip_address), /^member/);
});

test('without a VF left a load balancer ends in ERROR that says so, and gives back what it had', async () => {
  const pair = { sriov_vip: true, loadbalancer_topology: 'ACTIVE_STANDBY' };
  const late = await create({ flavor_id: await flavor(pair) });
  assert.is(late.provisioning_status, 'ERROR');
  assert.match(JSON.stringify(late.provisioning_error), /no_vf_left/);
  const last = await create({ flavor_id: await flavor({ sriov_vip: true }) });
  assert.is(last.provisioning_status, 'ACTIVE', JSON.stringify(last.provisioning_error));
  assert.match(await untilAnswered(last.vip_address), /^member/);
});

test('when all are deleted the NIC has all its VFs again', async () => {
  for (const { id } of await balancers()) {
    await api.call('DELETE', `/v2.0/lbaas/loadbalancers/${id}?cascade=true`);
  }
  await waitFor('the load balancers to be gone', SLOW, async () =>
    (await balancers()).length === 0 ? true : undefined,
  );
  const free = await inside('ls -d /sys/class/net/eth1/device/virtfn*/net/* | wc -l');
  assert.is(free, String(VFS));
  assert.is(await inside('ip netns list | grep -c ^amp- || true'), '0');
});

async function inside(command: string): Promise<string> {
  return (await guest.run(command)).trim();
}

async function makeVfs(): Promise<void> {
  for (const [nic, count] of [
    ['eth1', VFS],
    // The client's and each member's.
    ['eth2', MEMBERS.length + 2],
  ]) {
    await inside(`ip link set ${nic} up; echo ${count} >/sys/class/net/${nic}/device/sriov_numvfs`);
  }
}

async function startController(databaseUrl: string): Promise<void> {
  const broker = nats.url.replace('127.0.0.1', HOST).replace('localhost', HOST);
  const settings = {
    AMPHORAE_DATABASE_URL: databaseUrl,
    AMPHORAE_NATS_URL: broker,
    AMPHORAE_LISTEN: `0.0.0.0:${API_PORT}`,
    // Only this host reaches it.
    AMPHORAE_AUTH_NONE_ANYWHERE: 'true',
    AMPHORAE_PROVIDER: 'netns',
    AMPHORAE_DATA_DIR: '/checkout/data',
    AMPHORAE_HEARTBEAT_TIMEOUT_SECONDS: '600',
  };
  const environment = Object.entries(settings).map(([name, value]) => `${name}='${value}'`);
  await inside(
    `cd /checkout; ${environment.join(' ')} setsid bin/amphorae serve >/tmp/controller.log 2>&1 &`,
  );
}

async function createNetwork(name: string, cidr: string, vlan: number): Promise<string> {
  const { subnets } = await api.call<{ subnets: { subnet_id: string }[] }>(
    'POST',
    '/v2.0/amphorae/networks',
    {
      network: {
        name,
        cidrs: [{ cidr }],
        vnic_types: ['normal', 'direct'],
        physical_function: 'eth1',
        vlan,
      },
    },
  );
  return subnets[0]?.subnet_id ?? '';
}

/** A machine of a network on a VF of the other NIC. */
async function attach(number: number, name: string, address: string, vlan: number): Promise<void> {
  const vf = `/sys/class/net/eth2/device/virtfn${number}`;
  const script = [
    `pci=$(basename $(readlink ${vf}))`,
    'echo $pci >/sys/bus/pci/drivers/igbvf/unbind',
    `ip link set eth2 vf ${number} mac 02:00:00:00:00:1${number} vlan ${vlan}`,
    'echo $pci >/sys/bus/pci/drivers_probe',
    `link=$(ls ${vf}/net)`,
    `ip netns add ${name}`,
    `ip link set $link netns ${name} name port`,
    `ip -n ${name} link set lo up`,
    `ip -n ${name} address add ${address}/24 dev port`,
    `ip -n ${name} link set port up`,
  ];
  assert.is(await inside(script.join(' && ')), '');
}

/** Answers every request with the name of the namespace. */
async function serve(name: string): Promise<void> {
  const config = `/tmp/${name}.cfg`;
  const lines = ['defaults', 'mode http', 'timeout client 9s', 'timeout connect 9s', 'timeout server 9s'];
  const answer = `http-request return status 200 content-type text/plain string ${name}`;
  const text = [...lines, 'frontend web', 'bind :8080', answer].join('\\n');
  await inside(`printf '${text}\\n' >${config}; ip netns exec ${name} haproxy -D -f ${config}`);
}

function ask(where: string, from = 'client'): Promise<string> {
  return inside(`ip netns exec ${from} curl --silent --max-time 5 http://${where}/`);
}

/** Until somebody answers: neighbours learn where the VIP is from announcements. */
function untilAnswered(vip: string): Promise<string> {
  return waitFor('an answer', 60, async () => (await ask(vip)) || undefined);
}

/** In its data plane, with its processes. */
async function inAmphora(id: string, command: string): Promise<string> {
  const isInit = 'grep -q "^NSpid:.*[[:space:]]1$" /proc/$pid/status';
  const pids = `ip netns pids ${namespaceName(id)}`;
  const init = await inside(`for pid in $(${pids}); do ${isInit} && echo $pid; done`);
  assert.match(init, /^\d+$/);
  return inside(`nsenter -t ${init} -m -p ip netns exec ${DATA_PLANE_NAMESPACE} sh -c '${command}'`);
}

/** The VFs of the NIC for amphorae, as its driver has them. */
async function vfs(): Promise<{ mac: string; vlan: number; spoofchk: boolean; trust: boolean }[]> {
  const text = await inside('ip -details link show dev eth1');
  const lines = [...text.matchAll(/\bvf \d+\s.*/g)].map(([line]) => line);
  assert.is(lines.length, VFS, text);
  return lines.map((line) => ({
    mac: /link\/ether (\S+)/.exec(line)?.[1] ?? '',
    vlan: Number(/vlan (\d+)/.exec(line)?.[1] ?? 0),
    spoofchk: line.includes('spoof checking on'),
    trust: line.includes('trust on'),
  }));
}

async function flavor(data: object): Promise<string> {
  type Created<Kind extends string> = Record<Kind, { id: string }>;
  const name = JSON.stringify(data);
  const { flavorprofile } = await api.call<Created<'flavorprofile'>>('POST', '/v2.0/lbaas/flavorprofiles', {
    flavorprofile: { name, provider_name: 'amphora', flavor_data: name },
  });
  const made = await api.call<Created<'flavor'>>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name: flavorprofile.id, flavor_profile_id: flavorprofile.id },
  });
  return made.flavor.id;
}

/** POST one with a web listener, and wait until it has settled. */
async function create(parts: { flavor_id: string; allowed?: string }): Promise<LoadBalancer> {
  const { flavor_id, allowed } = parts;
  const listener = {
    protocol: 'HTTP',
    protocol_port: 80,
    ...(allowed && { allowed_cidrs: [allowed] }),
    default_pool: {
      name: 'web',
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
      members: MEMBERS.map((address) => ({ address, protocol_port: 8080 })),
    },
  };
  const { loadbalancer } = await api.call<{ loadbalancer: LoadBalancer }>(
    'POST',
    '/v2.0/lbaas/loadbalancers',
    {
      loadbalancer: { vip_subnet_id: subnet, flavor_id, listeners: [listener] },
    },
  );
  return settled(loadbalancer.id);
}

/** Once it is ACTIVE or ERROR. */
function settled(id: string): Promise<LoadBalancer> {
  return waitFor('the load balancer', SLOW, async () => {
    const now = await api.call<{ loadbalancer: LoadBalancer }>('GET', `/v2.0/lbaas/loadbalancers/${id}`);
    return ['ACTIVE', 'ERROR'].includes(now.loadbalancer.provisioning_status) ? now.loadbalancer : undefined;
  });
}

async function balancers(): Promise<LoadBalancer[]> {
  const path = '/v2.0/lbaas/loadbalancers?sort=created_at';
  return (await api.call<{ loadbalancers: LoadBalancer[] }>('GET', path)).loadbalancers;
}

async function amphoraeOf(id: string): Promise<string[]> {
  const { amphorae } = await api.call<{ amphorae: { id: string }[] }>(
    'GET',
    `/v2.0/octavia/amphorae?loadbalancer_id=${id}`,
  );
  return amphorae.map((each) => each.id);
}

test.run();
