// timeout: 120
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Heartbeat, openHeartbeat } from '../../src/amphora-api/heartbeat.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { octaviaConf, TestAmphora } from '../support/test-amphora.ts';
import { createTestPki, type TestIdentity } from '../support/test-pki.ts';

// Contract D1 and D2, row by row, as an Octavia controller calls: with its own configuration file in the amphora, without
// epochs, and with haproxy and keepalived as units of systemd.

const execute = promisify(execFile);
const LB = '11111111-0000-4000-8000-000000000001';
const LISTENER = '22222222-0000-4000-8000-000000000001';
const UNKNOWN = '33333333-0000-4000-8000-000000000001';
const [VIP, VIP6, MAC] = ['10.91.0.10', '2001:db8:91::10', 'fa:16:3e:91:00:01'];
const network = `tc${randomBytes(3).toString('hex')}`;
const KEY = 'shared by all';

let amphora: TestAmphora;
let controller: Socket;
const heartbeats: Heartbeat[] = [];

test.before(async () => {
  controller = createSocket('udp6');
  controller.bind(0);
  await once(controller, 'listening');
  controller.on('message', (datagram) => heartbeats.push(openHeartbeat(datagram, KEY)));
  await execute('ip', ['link', 'add', network, 'type', 'bridge', 'mcast_snooping', '0']);
  await execute('ip', ['link', 'set', network, 'addrgenmode', 'none', 'up']);
  amphora = await TestAmphora.startAsOctavia({ controller: `[::1]:${controller.address().port}`, key: KEY });
});
test.after(async () => {
  controller.close();
  await amphora?.stop();
  await execute('ip', ['link', 'delete', network]).catch(() => {});
});

const haproxyConfig = `global
    daemon
    stats socket /var/lib/octavia/${LB}.sock mode 0666 level user
    server-state-file /var/lib/octavia/${LB}/servers-state
defaults
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend ${LISTENER}
    mode http
    bind ${VIP}:80
`;
const keepalivedConfig = `vrrp_instance x {
  interface eth1
  virtual_router_id 1
  priority 100
  unicast_src_ip 10.91.0.11
  unicast_peer {
    10.91.0.12
  }
  virtual_ipaddress {
    10.91.0.77
  }
}
`;
const plug = {
  subnet_cidr: '10.91.0.0/24',
  gateway: '10.91.0.1',
  mac_address: MAC,
  vrrp_ip: '10.91.0.11',
  mtu: 1400,
  additional_vips: [{ ip_address: VIP6, subnet_cidr: '2001:db8:91::/64', gateway: null, host_routes: [] }],
};
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
interface Row {
  request: [method: Method, path: string, body?: string | object];
  status: number;
  /** The whole JSON body, or what it matches. */
  body?: object | RegExp;
  text?: string;
  etag?: string;
}

async function hold(rows: Row[]): Promise<void> {
  for (const { request, status, body, text, etag } of rows) {
    const answer = await amphora.call(...request);
    const named = `${request[0]} ${request[1]}: ${answer.status} ${answer.text}`;
    assert.is(answer.status, status, named);
    if (body instanceof RegExp) assert.match(answer.text, body, named);
    else if (body) assert.equal(answer.json(), body, named);
    if (text !== undefined) assert.is(answer.text, text, named);
    if (etag !== undefined) assert.is(answer.headers.etag, etag, named);
    if (body && !(body instanceof RegExp))
      assert.match(String(answer.headers['content-type']), /^application\/json/);
  }
}

const OK = { message: 'OK' };
const notFound = { error: 'Not found', http_code: 404 };

test('the root, and what is not there', () =>
  hold([
    { request: ['GET', '/'], status: 200, body: { api_version: '1.0' } },
    { request: ['GET', '/0.5/info'], status: 404, body: notFound },
    { request: ['GET', '/1.0/nothing'], status: 404, body: notFound },
    { request: ['POST', '/1.0/info'], status: 405, body: { error: 'Method not allowed', http_code: 405 } },
  ]));

test('info and details', async () => {
  const { json } = await amphora.call('GET', '/1.0/info');
  const info = json();
  assert.equal(Object.keys(info).sort(), [
    'api_version',
    'haproxy_version',
    'hostname',
    'ipvsadm_version',
    'keepalived_version',
  ]);
  assert.is(info.api_version, '1.0');
  assert.match(info.haproxy_version, /^2\.\d/);
  const details = (await amphora.call('GET', '/1.0/details')).json();
  const more = [
    'networks',
    'active',
    'haproxy_count',
    'lvs_listener_process_count',
    'cpu_count',
    'cpu',
    'memory',
  ];
  const last = [
    'disk',
    'load',
    'active_tuned_profiles',
    'topology',
    'topology_status',
    'listeners',
    'packages',
  ];
  const missing = [...Object.keys(info), ...more, ...last].filter((name) => details[name] === undefined);
  assert.equal(missing, []);
  assert.equal(Object.keys(details.cpu).sort(), ['soft_irq', 'system', 'total', 'user']);
  assert.equal(Object.keys(details.memory).sort(), [
    ...['buffers', 'cached', 'free', 'shared', 'slab', 'swap_used', 'total'],
  ]);
  assert.is(details.load.length, 3);
});

test('plugging', async () => {
  await hold([
    { request: ['POST', '/1.0/plug/vip/nonsense', plug], status: 400, body: /"vip: / },
    {
      request: ['POST', `/1.0/plug/vip/${VIP}`, { ...plug, mac_address: 'x' }],
      status: 400,
      body: /"mac_address: /,
    },
    {
      request: ['POST', `/1.0/plug/vip/${VIP}`, plug],
      status: 404,
      body: /No suitable network interface found/,
    },
    { request: ['POST', '/1.0/plug/network', '{'], status: 400, body: /"body: not JSON/ },
  ]);
  await amphora.attach(network, MAC);
  await hold([
    { request: ['POST', `/1.0/plug/vip/${VIP}`, plug], status: 202, body: /"message":"OK"/ },
    { request: ['POST', `/1.0/plug/vip/${VIP}`, plug], status: 409, body: /"message":/ },
    {
      request: [
        'POST',
        '/1.0/plug/network',
        { mac_address: MAC, fixed_ips: [], vip_net_info: { ...plug, vip: VIP } },
      ],
      status: 202,
      body: /"message":"OK"/,
    },
    { request: ['GET', `/1.0/interface/${VIP}`], status: 200, body: { ...OK, interface: 'eth1' } },
    {
      request: ['GET', '/1.0/interface/2001:0DB8:91:0::0010'],
      status: 200,
      body: { ...OK, interface: 'eth1' },
    },
    { request: ['GET', '/1.0/interface/10.91.0.99'], status: 404, body: /"message":/ },
    { request: ['GET', '/1.0/interface/10.91'], status: 400, body: /"ip: / },
  ]);
});

test('haproxy', () =>
  hold([
    { request: ['GET', `/1.0/loadbalancer/${LB}/haproxy`], status: 404, body: /"message":/ },
    { request: ['PUT', `/1.0/loadbalancer/${LB}/start`], status: 404, body: /"message":/ },
    {
      request: ['PUT', `/1.0/loadbalancer/${amphora.id}/${LB}/haproxy`, 'nonsense'],
      status: 400,
      body: /^\{"message":"Invalid request","details":".*unknown keyword/,
    },
    { request: ['GET', `/1.0/loadbalancer/${LB}/haproxy`], status: 404 },
    {
      request: ['PUT', `/1.0/loadbalancer/${amphora.id}/..%2f..%2fetc/haproxy`, haproxyConfig],
      status: 400,
      body: /"loadbalancer: /,
    },
    {
      request: ['PUT', `/1.0/loadbalancer/${amphora.id}/${LB}/haproxy`, haproxyConfig],
      status: 202,
      body: OK,
      etag: md5(haproxyConfig),
    },
    {
      request: ['GET', `/1.0/loadbalancer/${LB}/haproxy`],
      status: 200,
      text: haproxyConfig,
      etag: md5(haproxyConfig),
    },
    {
      request: ['GET', '/1.0/listeners'],
      status: 200,
      body: [{ status: 'OFFLINE', uuid: LISTENER, type: 'HTTP' }],
    },
    { request: ['PUT', `/1.0/loadbalancer/${LB}/restart`], status: 400, body: /"message":/ },
    { request: ['PUT', `/1.0/loadbalancer/${LB}/start`], status: 202, body: /"message":"OK"/ },
    {
      request: ['GET', '/1.0/listeners'],
      status: 200,
      body: [{ status: 'ACTIVE', uuid: LISTENER, type: 'HTTP' }],
    },
    { request: ['PUT', `/1.0/loadbalancer/${LB}/reload`], status: 202, body: /"message":"OK"/ },
    { request: ['PUT', `/1.0/loadbalancer/${LB}/stop`], status: 202, body: /"message":"OK"/ },
    { request: ['PUT', `/1.0/loadbalancer/${LB}/reload`], status: 202, body: /"message":"OK"/ },
    {
      request: ['GET', '/1.0/listeners'],
      status: 200,
      body: [{ status: 'ACTIVE', uuid: LISTENER, type: 'HTTP' }],
    },
  ]));

test('a haproxy that systemd starts again is ours again', async () => {
  const killed = await amphora.haproxyPids();
  assert.is(killed.length, 2, 'a master and its worker');
  await amphora.inDataPlane(['kill', '-KILL', ...killed]);
  // What Restart=always does; the agent has to find the new process.
  await amphora.inDataPlane(['systemctl', 'restart', `haproxy-${LB}.service`]);
  await waitFor('haproxy to be found', 5, async () => {
    const [listener] = (await amphora.call('GET', '/1.0/listeners')).json();
    return listener.status === 'ACTIVE' || undefined;
  });
});

test('certificates of listeners', async () => {
  const { cert, key } = await amphora.pki.issue('www.example.com');
  const pem = `${cert}\n${key}\n`;
  const path = `/1.0/loadbalancer/${LB}/certificates`;
  await hold([
    { request: ['GET', `${path}/abc.pem`], status: 404, body: /"message":/ },
    { request: ['PUT', `${path}/abc.txt`, pem], status: 400, body: /"file: / },
    { request: ['PUT', `${path}/..%2fabc.pem`, pem], status: 400, body: /"file: / },
    { request: ['PUT', `${path}/abc.pem`, pem], status: 200, body: OK, etag: md5(pem) },
    { request: ['GET', `${path}/abc.pem`], status: 200, body: { md5sum: md5(pem) }, etag: md5(pem) },
    { request: ['DELETE', `${path}/abc.pem`], status: 200, body: OK },
    { request: ['DELETE', `${path}/abc.pem`], status: 200, body: OK },
  ]);
});

test('VRRP', () =>
  hold([
    {
      request: ['PUT', '/1.0/vrrp/upload', keepalivedConfig],
      status: 200,
      body: OK,
      etag: md5(keepalivedConfig),
    },
    { request: ['PUT', '/1.0/vrrp/start'], status: 202, body: /"message":"OK"/ },
    { request: ['PUT', '/1.0/vrrp/start'], status: 202, body: /"message":"OK"/ },
    { request: ['PUT', '/1.0/vrrp/reload'], status: 202, body: /"message":"OK"/ },
    { request: ['PUT', '/1.0/vrrp/explode'], status: 400, body: /"message":/ },
  ]));

test('heartbeats go where the file says, and stop while keepalived should run and does not', async () => {
  const next = () => {
    const known = heartbeats.length;
    return waitFor('a heartbeat', 2, async () => heartbeats[known]);
  };
  // The amphora cannot reach this test by its loopback address: another file names one that it can reach.
  const controllerAddress = `[${amphora.address.replace(/2$/, '1')}]:${controller.address().port}`;
  const conf = octaviaConf(amphora, { controller: controllerAddress, key: KEY, interval: 0.1 });
  await hold([
    { request: ['PUT', '/1.0/config', conf.replace(amphora.id, UNKNOWN)], status: 400, body: /amphora_id/ },
    { request: ['PUT', '/1.0/config', '[amphora_agent'], status: 400, body: /line 1/ },
    { request: ['PUT', '/1.0/config', conf], status: 202, body: OK },
  ]);
  assert.is(readFileSync(join(amphora.directory, 'agent.json'), 'utf8'), conf);
  const heartbeat = await next();
  assert.is(heartbeat.id, amphora.id);
  assert.equal(Object.keys(heartbeat.listeners), [LISTENER]);
  assert.is(heartbeat.listeners[LISTENER]?.status, 'OPEN');

  await hold([{ request: ['PUT', '/1.0/vrrp/stop'], status: 202 }]);
  const told = (await next().catch(() => undefined))?.seq;
  assert.not(await next().catch(() => undefined), `silence after ${told}`);
  await hold([{ request: ['PUT', '/1.0/vrrp/start'], status: 202 }]);
  await next();
});

/** What a client sees that comes with this certificate: the status of an answer, or the error of TLS. */
function knock(
  identity: TestIdentity | undefined,
  maxVersion: 'TLSv1.1' | 'TLSv1.3' = 'TLSv1.3',
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({
      host: amphora.address,
      port: 9443,
      ca: amphora.pki.ca,
      servername: amphora.id,
      minVersion: 'TLSv1',
      maxVersion,
      ...identity,
    });
    socket.on('secureConnect', () =>
      socket.write('GET /1.0/info HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
    );
    socket.on('data', (data) => resolve(data.toString().split('\r\n')[0] ?? ''));
    socket.on('error', ({ message }) => resolve(message));
    socket.on('close', () => resolve('closed'));
  });
}

test('only a client of the controller’s authority is spoken to', async () => {
  assert.match(await knock(await amphora.pki.issue('an Octavia controller')), /200 OK/);
  assert.not.match(await knock(undefined), /HTTP/);
  assert.not.match(await knock(await (await createTestPki()).issue('an Octavia controller')), /HTTP/);
  assert.not.match(await knock(await amphora.pki.issue('old'), 'TLSv1.1'), /HTTP/);
});

test('the own certificate is replaced while the agent runs, by one that the controller will believe', async () => {
  const pem = ({ cert, key }: TestIdentity) => `${cert}\n${key}\n`;
  const [good, other] = [await amphora.pki.issue(amphora.id), await amphora.pki.issue(amphora.id)];
  const before = await amphora.agentPid();
  const put = (body: string): Row['request'] => ['PUT', '/1.0/certificate', body];
  await hold([
    { request: put('nonsense'), status: 400, body: /"body: must be a certificate/ },
    { request: put(pem({ ...good, key: other.key })), status: 400, body: /"body: the key/ },
    {
      request: put(pem(await amphora.pki.issue(UNKNOWN))),
      status: 400,
      body: /"body: the certificate does not name/,
    },
    { request: put(pem(good)), status: 202, body: OK },
  ]);
  assert.match(await knock(await amphora.pki.issue('controller')), /200 OK/);
  assert.is(await amphora.agentPid(), before);
});

test('deletion, also of what is not there', async () => {
  await hold([
    { request: ['DELETE', `/1.0/listeners/${UNKNOWN}`], status: 200, body: OK },
    { request: ['DELETE', '/1.0/listeners/..'], status: 404 },
    { request: ['DELETE', `/1.0/listeners/${LB}`], status: 200, body: OK },
    { request: ['GET', '/1.0/listeners'], status: 200, body: [] },
    // Last, because the connection ends with it.
    {
      request: ['PUT', '/1.0/config', 'x'.repeat(2 ** 24 + 1)],
      status: 413,
      body: { error: 'Body too large', http_code: 413 },
    },
  ]);
  assert.is((await amphora.haproxyPids()).length, 0);
});

test.run();
