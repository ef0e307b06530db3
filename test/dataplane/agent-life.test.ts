// timeout: 180
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import type { Namespace } from '../../src/cli/demo/namespace.ts';
import { createNamespace } from '../support/namespace.ts';
import { TestAmphora } from '../support/test-amphora.ts';

const execute = promisify(execFile);

const LOAD_BALANCER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c002';
const LISTENER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0f3';
const VIP = '10.93.0.10';
const MAC = '02:93:00:00:00:01';
const network = `tl${randomBytes(3).toString('hex')}`;

let amphora: TestAmphora;
let client: Namespace;

const config = `global
  daemon
defaults
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend ${LISTENER}
  mode http
  bind ${VIP}:80
  http-request return status 200 content-type text/plain string served
`;

const keepalivedConfig = `vrrp_instance test {
  interface eth1
  virtual_router_id 1
  priority 100
  unicast_src_ip 10.93.0.11
  unicast_peer {
    10.93.0.12
  }
  virtual_ipaddress {
    10.93.0.77
  }
}
`;

const group: SecurityGroup = {
  revision: 1,
  vips: [VIP],
  rules: [{ protocol: 'TCP', port: 80 }],
  vrrp_peers: [],
  members: [],
};

const plug = {
  subnet_cidr: '10.93.0.0/24',
  gateway: null,
  mac_address: MAC,
  vrrp_ip: '10.93.0.11',
  additional_vips: [{ ip_address: '2001:db8:93::10', subnet_cidr: '2001:db8:93::/64' }],
};

test.before(async () => {
  await execute('ip', ['link', 'add', network, 'type', 'bridge', 'mcast_snooping', '0']);
  await execute('ip', ['link', 'set', network, 'addrgenmode', 'none', 'up']);
  client = await createNamespace('client', network, ['10.93.0.100/24']);
  amphora = await TestAmphora.start({}, { confined: true });
});

test.after(async () => {
  await amphora?.stop();
  await client?.remove();
  await execute('ip', ['link', 'delete', network]).catch(() => {});
});

const call: TestAmphora['call'] = (...request) => amphora.call(...request);

async function within(seconds: number, condition: () => Promise<boolean>): Promise<void> {
  for (
    const deadline = Date.now() + seconds * 1_000;
    !(await condition().catch(() => false));
    await sleep(20)
  ) {
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s`);
  }
}

const served = () => client.curl(`http://${VIP}/`, 1);

test("the root is not versioned, and unknown paths and verbs have the framework's body", async () => {
  assert.equal((await call('GET', '/')).json(), { api_version: '1.0' });
  assert.equal((await call('GET', '/2.0/info')).json(), { error: 'Not found', http_code: 404 });
  const wrongVerb = await call('POST', '/1.0/info');
  assert.equal(wrongVerb.json(), { error: 'Method not allowed', http_code: 405 });
  assert.is(wrongVerb.headers.allow, 'GET');
});

test('what is wrong is refused with the name of the field and without effect', async () => {
  const cases: [Awaited<ReturnType<typeof call>>, RegExp][] = [
    [await call('POST', '/1.0/security-group', '{'), /^body: not JSON/],
    [await call('POST', '/1.0/security-group', { ...group, vips: ['x'] }), /^vips\.0: /],
    [await call('POST', '/1.0/plug/vip/10.93.0', plug), /^vip: /],
    [await call('POST', `/1.0/plug/vip/${VIP}`, { ...plug, gateway: '::1' }), /^gateway: /],
    [await call('POST', '/1.0/plug/network', { mac_address: MAC }), /^fixed_ips: /],
    [await call('PUT', `/1.0/loadbalancer/${amphora.id}/..%2F..%2Fetc/haproxy`, config), /^loadbalancer: /],
    [await call('PUT', `/1.0/loadbalancer/${LOAD_BALANCER}/explode`), /^action: /],
    [await call('PUT', `/1.0/loadbalancer/${LOAD_BALANCER}/certificates/..%2Fx.pem`, 'x'), /^file: /],
    [await call('PUT', '/1.0/certificate', 'not a certificate'), /^body: /],
    [await call('PUT', '/1.0/vrrp/upload', 'nonsense {'), /nonsense/],
  ];
  for (const [answer, details] of cases) {
    assert.is(answer.status, 400, details.source);
    assert.match(answer.json().details, details);
  }
  assert.is((await call('PUT', `/1.0/loadbalancer/${LOAD_BALANCER}/reload`)).status, 404);
  assert.is((await call('DELETE', `/1.0/listeners/${LOAD_BALANCER}`)).status, 200);
  assert.equal((await call('GET', '/1.0/security-group')).json().revision, 0);
});

test("an Octavia controller, which knows no epochs, drives a fresh amphora with Octavia's status codes", async () => {
  const absent = await call('POST', `/1.0/plug/vip/${VIP}`, plug);
  assert.is(absent.status, 404);
  assert.is(absent.json().details, 'No suitable network interface found');
  await amphora.attach(network, MAC);
  assert.is((await call('POST', `/1.0/plug/vip/${VIP}`, plug)).status, 202);
  assert.is((await call('POST', `/1.0/plug/vip/${VIP}`, plug)).status, 409);

  const upload = await call('PUT', `/1.0/loadbalancer/${amphora.id}/${LOAD_BALANCER}/haproxy`, config);
  assert.is(upload.status, 202);
  assert.is((await call('PUT', `/1.0/loadbalancer/${LOAD_BALANCER}/start`)).status, 202);
  const stored = await call('GET', `/1.0/loadbalancer/${LOAD_BALANCER}/haproxy`);
  assert.is(stored.text, config);
  assert.is(stored.headers.etag, upload.headers.etag);
  assert.equal((await call('GET', '/1.0/listeners')).json(), [
    { status: 'ACTIVE', uuid: LISTENER, type: 'HTTP' },
  ]);
  assert.equal((await call('POST', '/1.0/security-group', group)).json(), { message: 'OK' });
  assert.is(await served(), 'served');
  const { networks } = (await call('GET', '/1.0/details')).json();
  assert.equal(Object.keys(networks), ['eth1']);
  const counted = async (way: string) =>
    Number(await amphora.inDataPlane(['cat', `/sys/class/net/eth1/statistics/${way}_bytes`]));
  const { network_rx, network_tx } = networks.eth1;
  assert.ok(network_rx > 0 && network_rx <= (await counted('rx')), `received ${network_rx}`);
  assert.ok(network_tx > 0 && network_tx <= (await counted('tx')), `sent ${network_tx}`);
});

test('an interface is found by its address in any spelling', async () => {
  for (const ip of [VIP, '2001:db8:93::10', '2001:0db8:0093:0000:0000:0000:0000:0010']) {
    assert.equal((await call('GET', `/1.0/interface/${ip}`)).json(), { message: 'OK', interface: 'eth1' });
  }
  assert.is((await call('GET', '/1.0/interface/10.93.0.99')).status, 404);
  assert.is((await call('GET', '/1.0/interface/eth1')).status, 400);
});

test("the VIP's interface takes and gives up addresses of a member network", async () => {
  const fixed_ips = [
    {
      ip_address: '10.94.0.3',
      subnet_cidr: '10.94.0.0/24',
      host_routes: [{ destination: '10.95.0.0/16', nexthop: '10.94.0.1' }],
    },
  ];
  const body = { mac_address: MAC, vip_net_info: { ...plug, vip: VIP } };
  const state = async () =>
    `${await amphora.inDataPlane(['ip', '-br', 'address'])}${await amphora.inDataPlane(['ip', 'route'])}`;
  const before = await state();
  assert.is((await call('POST', '/1.0/plug/network', { ...body, fixed_ips })).status, 202);
  assert.match(await state(), /10\.94\.0\.3\/24/);
  assert.match(await state(), /10\.95\.0\.0\/16 via 10\.94\.0\.1/);
  assert.is((await call('POST', '/1.0/plug/network', { ...body, fixed_ips: [] })).status, 202);
  assert.is(await state(), before);
  assert.is(await served(), 'served');
});

test("details are the kernel's", async () => {
  const details = await amphora.client.details(amphora.target(1));
  assert.is(details.haproxy_count, 1);
  assert.equal(details.listeners, [LISTENER]);
  assert.ok((details.networks.eth1?.network_rx ?? 0) > 0);
  assert.ok(
    details.memory.total > details.memory.free && details.cpu.total > 0 && details.disk.available > 0,
  );
});

test('once an epoch is known, a call without one changes nothing', async () => {
  assert.is((await call('GET', '/1.0/info')).status, 200);
  const refused = await call('POST', '/1.0/security-group', { ...group, rules: [] });
  assert.is(refused.status, 412);
  assert.is(refused.json().code, 'stale_epoch');
  assert.is((await call('POST', '/1.0/security-group', group, 'one')).status, 400);
  assert.is(await served(), 'served');
});

test('haproxy comes back when it is killed', async () => {
  const killed = await amphora.haproxyPids();
  await amphora.inDataPlane(['kill', '-KILL', ...killed]);
  await within(5, async () => (await served()) === 'served');
  const alive = await amphora.haproxyPids();
  assert.not(killed.some((pid) => alive.includes(pid)));
});

test('a configuration counts as in force only while the haproxy that serves it lives', async () => {
  const upload = (text: string) => amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, text);
  await upload(config);
  await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
  assert.equal(await upload(config), { inForce: true });

  // It dies after an upload that nobody has asked to load, and comes back with that one.
  assert.equal(await upload(config.replace('string served', 'string other')), { inForce: false });
  await amphora.inDataPlane(['kill', '-KILL', ...(await amphora.haproxyPids())]);
  await within(5, async () => (await served()) === 'other');
  assert.equal(await upload(config), { inForce: false });
  await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
  assert.is(await served(), 'served');
});

test('keepalived takes the VIPs that its configuration names, and gives them up', async () => {
  await amphora.client.uploadKeepalived(amphora.target(), keepalivedConfig);
  await amphora.client.reloadKeepalived(amphora.target());
  const holds = async () => (await amphora.inDataPlane(['ip', 'address'])).includes('10.93.0.77');
  await within(10, holds);
  await amphora.client.reloadKeepalived(amphora.target());
  assert.is((await call('PUT', '/1.0/vrrp/stop', undefined, '1')).status, 202);
  assert.not(await holds());
});

test('keys of listeners are in memory only, and readable by root only', async () => {
  const path = `/1.0/loadbalancer/${LOAD_BALANCER}/certificates/abc.pem`;
  const { cert, key } = await amphora.pki.issue('www.example.com');
  const { key: otherKey } = await amphora.pki.issue('other.example.com');
  const list = path.replace('abc', LISTENER);
  for (const body of ['secret', `${cert}\n${otherKey}`, cert.replace('MII', 'AAA'), '/etc/passwd', key, ''])
    assert.match((await call('PUT', path, body, '1')).json().details, /^body: /);
  assert.is((await call('GET', path)).status, 404);
  const pem = `${cert}\n${key}`;
  const md5sum = createHash('md5').update(pem).digest('hex');
  const stored = await call('PUT', path, pem, '1');
  assert.is(stored.status, 200);
  assert.is(stored.headers.etag, md5sum);
  assert.equal((await call('GET', path)).json(), { md5sum });
  const own = `/var/lib/octavia/certs/${LOAD_BALANCER}/abc.pem\n`;
  assert.is((await call('PUT', list, own, '1')).status, 200);
  assert.equal((await call('GET', dirname(path))).json(), {
    'abc.pem': md5sum,
    [`${LISTENER}.pem`]: createHash('md5').update(own).digest('hex'),
  });
  const mode = await amphora.inDataPlane([
    'stat',
    '-L',
    '-c',
    '%a',
    `/var/lib/octavia/certs/${LOAD_BALANCER}/abc.pem`,
  ]);
  assert.is(mode.trim(), '600');
  assert.throws(() => readFileSync(join(amphora.stateDir, 'certs', LOAD_BALANCER, 'abc.pem')), /ENOENT/);
  assert.is((await call('DELETE', path, undefined, '1')).status, 200);
  assert.is((await call('GET', path)).status, 404);
});

test('a new server certificate is used at once', async () => {
  const { cert, key } = await amphora.pki.issue(amphora.id);
  const { cert: other } = await amphora.pki.issue(amphora.id);
  assert.is((await call('PUT', '/1.0/certificate', `${other}\n${key}`, '1')).status, 400);
  assert.is((await call('PUT', '/1.0/certificate', `${cert}\n${key}`, '1')).status, 202);
  const fresh = await amphora.clientNamed('amphorae-controller');
  await fresh.info(amphora.target());
  await fresh.close();
  assert.match(readFileSync(join(amphora.directory, 'server.pem'), 'utf8'), cert.trim().slice(60, 200));
});

test('a port that the host takes away is forgotten, and may come back', async () => {
  await amphora.inDataPlane(['ip', 'link', 'delete', 'eth1']);
  await amphora.client.setSecurityGroup(amphora.target(), { ...group, revision: 2 });
  assert.not.match(await amphora.inDataPlane(['nft', 'list', 'ruleset']), /eth1/);
  await amphora.attach(network, MAC);
  await amphora.client.plugVip(amphora.target(), VIP, plug);
  assert.match(await amphora.inDataPlane(['nft', 'list', 'ruleset']), /"eth1" : jump vip/);
  await within(5, async () => (await served()) === 'served');
});

test('after a power failure the firewall stands before the interfaces, and the rest comes back', async () => {
  await amphora.crash();
  await amphora.attach(network, MAC);
  await amphora.boot();
  await within(5, async () => (await served()) === 'served');
  assert.is((await call('GET', '/1.0/security-group')).json().revision, 2);
});

test('a damaged firewall file closes everything', async () => {
  await amphora.crash();
  writeFileSync(join(amphora.stateDir, 'amphora-firewall.json'), '{"rules": ');
  await amphora.attach(network, MAC);
  await amphora.boot();
  assert.is(await served().catch(({ code }) => code), 28);
});

test('a load balancer that is deleted leaves neither process nor file', async () => {
  await amphora.client.deleteHaproxy(amphora.target(), LOAD_BALANCER);
  await amphora.client.deleteHaproxy(amphora.target(), LOAD_BALANCER);
  assert.equal((await call('GET', '/1.0/listeners')).json(), []);
  assert.is((await amphora.haproxyPids()).length, 0);
});

test.run();
