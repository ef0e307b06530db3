// timeout: 180
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import type { Namespace } from '../../src/cli/demo/namespace.ts';
import type { AmphoraeError } from '../../src/model/errors.ts';
import { createNamespace, serveText } from '../support/namespace.ts';
import { TestAmphora } from '../support/test-amphora.ts';
import { createTestPki } from '../support/test-pki.ts';

const execute = promisify(execFile);

const LOAD_BALANCER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c001';
const VIP = '10.91.0.10';
const VIP6 = '2001:db8:91::10';
const VIP_MAC = '02:91:00:00:00:01';
const MEMBER_MAC = '02:92:00:00:00:01';

const suffix = randomBytes(3).toString('hex');
const frontNetwork = `tf${suffix}`;
const memberNetwork = `tm${suffix}`;

let amphora: TestAmphora;
let client: Namespace;
let stranger: Namespace;
let member: Namespace;

const config = `global
  daemon
  user nobody
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend 5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0f1
  bind ${VIP}:80
  bind ${VIP6}:80
  default_backend members
frontend 5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0f2
  bind :::9999 v4v6
  default_backend members
backend members
  server m1 10.92.0.20:8080
  server m2 [2001:db8:92::20]:8080
`;

const group: SecurityGroup = {
  revision: 1,
  vips: [VIP, VIP6],
  rules: [
    { protocol: 'TCP', port: 80, allowed_cidrs: ['10.91.0.100/32', '10.91.0.96/28', '2001:db8:91::100/128'] },
  ],
  vrrp_peers: [],
  members: [
    { address: '10.92.0.20', port: 8080, protocol: 'TCP' },
    { address: '2001:db8:92::20', port: 8080, protocol: 'TCP' },
  ],
};

test.before(async () => {
  for (const bridge of [frontNetwork, memberNetwork]) {
    await execute('ip', ['link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0']);
    await execute('ip', ['link', 'set', bridge, 'addrgenmode', 'none', 'up']);
  }
  client = await createNamespace('client', frontNetwork, ['10.91.0.100/24', '2001:db8:91::100/64']);
  stranger = await createNamespace('stranger', frontNetwork, ['10.91.0.200/24', '2001:db8:91::200/64']);
  member = await createNamespace('member', memberNetwork, ['10.92.0.20/24', '2001:db8:92::20/64']);
  await serveText(member, 8080, 'hello');
  amphora = await TestAmphora.start();
});

test.after(async () => {
  await amphora?.stop();
  for (const namespace of [client, stranger, member]) await namespace?.remove();
  for (const bridge of [frontNetwork, memberNetwork])
    await execute('ip', ['link', 'delete', bridge]).catch(() => {});
});

/** curl's exit status: 0 an answer, 7 refused, 28 no answer within a second. */
async function reach(from: Namespace, url: string, ...options: string[]): Promise<number> {
  const command = ['curl', '--silent', '--globoff', '--fail', '--max-time', '1', ...options, url];
  return from.exec(command).then(
    () => 0,
    (error: { code: number }) => error.code,
  );
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'success',
    (error: AmphoraeError) => `${error.kind} ${error.code}`,
  );
}

test('a port that is not there yet is a transient failure', async () => {
  const body = { subnet_cidr: '10.91.0.0/24', gateway: null, mac_address: VIP_MAC, vrrp_ip: '10.91.0.11' };
  assert.is(await codeOf(amphora.client.plugVip(amphora.target(), VIP, body)), 'transient agent_unreachable');
});

test('ports are plugged, and plugging them again changes nothing', async () => {
  await amphora.attach(frontNetwork, VIP_MAC);
  await amphora.attach(memberNetwork, MEMBER_MAC);
  const vip = {
    ...{
      subnet_cidr: '10.91.0.0/24',
      gateway: '10.91.0.1',
      mac_address: VIP_MAC,
      vrrp_ip: '10.91.0.11',
      mtu: 1400,
    },
    additional_vips: [{ ip_address: VIP6, subnet_cidr: '2001:db8:91::/64', gateway: '2001:db8:91::1' }],
  };
  const network = {
    mac_address: MEMBER_MAC,
    fixed_ips: [
      { ip_address: '10.92.0.10', subnet_cidr: '10.92.0.0/24' },
      { ip_address: '2001:db8:92::10', subnet_cidr: '2001:db8:92::/64' },
    ],
  };
  const snapshots: string[] = [];
  for (let round = 0; round < 2; round++) {
    await amphora.client.plugVip(amphora.target(), VIP, vip);
    await amphora.client.plugNetwork(amphora.target(), network);
    const state = await Promise.all([
      amphora.inDataPlane(['ip', '-br', 'address']),
      amphora.inDataPlane(['ip', 'route', 'show', 'table', 'all']),
      amphora.inDataPlane(['ip', '-6', 'route', 'show', 'table', 'all', 'proto', 'static']),
      amphora.inDataPlane(['ip', 'rule']),
      amphora.inDataPlane(['ip', '-6', 'rule']),
    ]);
    snapshots.push(state.join('\n'));
  }
  assert.is(snapshots[0], snapshots[1]);
  assert.match(snapshots[0] ?? '', /eth1.*10\.91\.0\.11\/24.*10\.91\.0\.10\/32.*2001:db8:91::10\/128/);
  assert.match(snapshots[0] ?? '', /eth2.*10\.92\.0\.10\/24/);
  assert.match(
    snapshots[0] ?? '',
    /default via 10\.91\.0\.1 dev eth1 table 1 proto static src 10\.91\.0\.10 onlink/,
  );
  assert.match(snapshots[0] ?? '', /from 10\.91\.0\.10 lookup 1/);
  assert.match(await amphora.inDataPlane(['ip', 'link', 'show', 'eth1']), /mtu 1400/);
});

test('everything is closed until the first rules', async () => {
  await amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, config);
  await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
  assert.is(await reach(client, `http://${VIP}/`), 28);
});

test('listeners answer the sources that they allow, over IPv4 and IPv6, and nobody else', async () => {
  await amphora.client.setSecurityGroup(amphora.target(), group);
  for (const host of [VIP, `[${VIP6}]`]) {
    assert.is(await client.curl(`http://${host}/`), 'hello\n', host);
    assert.is(await reach(stranger, `http://${host}/`), 28, `stranger to ${host}`);
    assert.is(await reach(client, `http://${host}:9999/`), 28, `closed port of ${host}`);
  }
  assert.is(await reach(client, 'http://10.91.0.11/'), 28, 'the base address is not a VIP');
});

test('a member cannot open a connection, not even from its service port', async () => {
  for (const url of ['http://10.92.0.10:9999/', 'http://[2001:db8:92::10]:9999/']) {
    assert.is(await reach(member, url), 28);
  }
  const raw = ['--interface', '10.92.0.20', '--local-port', '18080'];
  const spoofed = {
    ...group,
    members: [...group.members, { address: '10.92.0.20', port: 18080, protocol: 'TCP' as const }],
  };
  await amphora.client.setSecurityGroup(amphora.target(), spoofed);
  assert.is(await reach(member, 'http://10.92.0.10:9999/', ...raw), 28);
  await amphora.client.setSecurityGroup(amphora.target(), group);
});

test('nothing is tracked', async () => {
  assert.is((await amphora.inDataPlane(['conntrack', '-C'])).trim(), '0');
});

test('rules are replaced 200 times under load and no request fails or waits', async () => {
  const urls = `http://${VIP}/?[1-1000000]`;
  const format = '%{http_code} %{time_total}\n';
  const load = spawn('ip', [
    ...['netns', 'exec', client.name, 'curl', '--silent', '--output', '/dev/null', '--no-keepalive'],
    ...['--header', 'Connection: close', '--max-time', '60', '--write-out', format, urls],
  ]);
  let output = '';
  load.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  for (let revision = 1; revision <= 200; revision++) {
    const other = {
      protocol: 'TCP' as const,
      port: 1_000 + (revision % 50),
      allowed_cidrs: ['192.0.2.0/24'],
    };
    await amphora.client.setSecurityGroup(amphora.target(), {
      ...group,
      revision,
      rules: [...group.rules, other],
    });
  }
  load.kill();
  await once(load, 'close');
  const requests = output.trim().split('\n').slice(0, -1);
  assert.ok(requests.length > 200, `only ${requests.length} requests were made`);
  for (const line of requests) {
    const [status, seconds] = line.split(' ');
    assert.is(status, '200');
    // A dropped packet would show as a retransmission after 0.2 s or more.
    assert.ok(Number(seconds) < 0.2, `a request took ${seconds} s`);
  }
});

test('reloads under load lose no request, and the new configuration serves when they return', async () => {
  for (let round = 0; round < 10; round++) {
    const header = `http-response set-header x-round ${round}`;
    const changed = config.replace('default_backend members\n', `default_backend members\n  ${header}\n`);
    await amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, changed);
    await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
    const headers = await client.exec(['curl', '-s', '-o', '/dev/null', '-D', '-', `http://${VIP}/`]);
    assert.match(headers, new RegExp(`x-round: ${round}\\b`));
  }
});

test('a configuration that haproxy refuses leaves the old one in force', async () => {
  const broken = amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, 'frontend x\n  nonsense\n');
  assert.is(await codeOf(broken), 'terminal agent_refused');
  const unbindable = config.replace(`bind ${VIP}:80`, 'bind /nowhere/at/all.sock');
  await amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, unbindable);
  const reload = amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
  assert.is(await codeOf(reload), 'transient agent_unreachable');
  assert.is(await client.curl(`http://${VIP}/`), 'hello\n');
  await amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, config);
  await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
  assert.is(await client.curl(`http://${VIP}/`), 'hello\n');
});

test('traffic goes on while the agent is dead, and the next agent takes haproxy over', async () => {
  const before = await amphora.client.details(amphora.target());
  assert.is(before.haproxy_count, 1);
  const workers = await amphora.inDataPlane(['pgrep', '-x', 'haproxy']);
  await amphora.restartAgent(async () => assert.is(await client.curl(`http://${VIP}/`), 'hello\n'));
  assert.is((await amphora.client.details(amphora.target())).haproxy_count, 1);
  assert.is(await amphora.inDataPlane(['pgrep', '-x', 'haproxy']), workers);
  assert.is(await client.curl(`http://${VIP}/`), 'hello\n');
});

test('a listener that is removed closes its port', async () => {
  await amphora.client.setSecurityGroup(amphora.target(), { ...group, revision: 300, rules: [] });
  assert.is(await reach(client, `http://${VIP}/`), 28);
  await amphora.client.setSecurityGroup(amphora.target(), group);
  assert.is(await reach(client, `http://${VIP}/`), 0);
});

test('only the controller, and only the newest, is obeyed', async () => {
  const someone = await amphora.clientNamed('someone-else');
  assert.is(await codeOf(someone.info(amphora.target())), 'terminal agent_refused');
  await someone.close();
  const forged = await amphora.clientNamed('amphorae-controller', await createTestPki());
  assert.is(await codeOf(forged.info(amphora.target())), 'transient agent_unreachable');
  await forged.close();
  const impostor = { ...amphora.target(), amphoraId: LOAD_BALANCER };
  assert.is(await codeOf(amphora.client.info(impostor)), 'transient agent_unreachable');

  await amphora.client.setSecurityGroup(amphora.target(7), { ...group, revision: 301 });
  const closing = amphora.client.setSecurityGroup(amphora.target(6), { ...group, rules: [] });
  assert.is(await codeOf(closing), 'terminal stale_epoch');
  assert.is(await reach(client, `http://${VIP}/`), 0);
  await amphora.restartAgent();
  assert.is(
    await codeOf(amphora.client.reloadHaproxy(amphora.target(6), LOAD_BALANCER)),
    'terminal stale_epoch',
  );
});

test.run();
