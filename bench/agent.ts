import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { bundleProgram } from '../scripts/bundle.ts';
import { TestAmphora } from '../test/support/test-amphora.ts';
import { createTestPki } from '../test/support/test-pki.ts';
import { memoryOf } from './node-process.ts';
import { timed } from './requests.ts';
import { percentiles, round } from './statistics.ts';

/**
 * The agent of an amphora as an image has it (one file, its code compiled before, its unit's options): until it answers, its memory, and how long
 * calls take, each by a new TLS connection, as Octavia's controllers make them. Floors of the same run: a bare HTTPS server that
 * starts, and one that answers; `ip` that moves a link; `haproxy -c`; a haproxy that starts. Needs root.
 *
 * usage: bench/agent.ts [calls]
 */
const calls = Number(process.argv[2] ?? 100);
const STARTS = 7;
const LB = '11111111-0000-4000-8000-000000000001';
const directory = mkdtempSync(join(tmpdir(), 'amphorae-bench-'));
const bridge = `tb${randomBytes(3).toString('hex')}`;

const haproxyConfig = (version: number) => `global
    user nobody
    group nogroup
    stats socket /var/lib/octavia/${LB}.sock mode 0600 level admin
    maxconn 1000
defaults
    timeout connect 2s
    timeout client ${10 + version}s
    timeout server 10s
frontend 22222222-0000-4000-8000-000000000001
    mode http
    bind 127.0.0.1:8080
`;

interface Identity {
  ca: string;
  cert: string;
  key: string;
  servername: string;
}

type Method = 'GET' | 'POST' | 'PUT';
type Call = (method: Method, path: string, body?: string | object) => Promise<void>;

/** One call on a connection of its own; it has to succeed. */
async function ask(identity: Identity, method: Method, url: string, body?: string | object) {
  const dispatcher = new Agent({ connect: identity });
  const text = typeof body === 'object' ? JSON.stringify(body) : (body ?? null);
  const answer = await request(url, { method, dispatcher, body: text });
  const said = await answer.body.text();
  await dispatcher.close();
  if (answer.statusCode >= 300) throw new Error(`${method} ${url}: ${answer.statusCode} ${said}`);
}

/** A process that does nothing but answer over mutual TLS: until it does, and how it answers then. */
async function bareServer() {
  const pki = await createTestPki();
  const [server, client] = [await pki.issue('server'), await pki.issue('client')];
  const identity = { ca: pki.ca, ...client, servername: 'server' };
  const file = join(directory, 'bare.json');
  writeFileSync(file, JSON.stringify({ ...server, ca: pki.ca }), { mode: 0o600 });
  const start = performance.now();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'bare-https.ts'), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = await once(child.stdout, 'data');
  const url = `https://127.0.0.1:${String(port).trim()}/`;
  await ask(identity, 'GET', url);
  const started = performance.now() - start;
  const stop = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { started, ask: () => ask(identity, 'GET', url), stop };
}

const ratio = (measured: number[], floor: number[]) => {
  const [ours, theirs] = [percentiles(measured), percentiles(floor)];
  return { ...ours, floor: theirs.p50, ratio: round(ours.p50 / theirs.p50) };
};

async function measure(amphora: TestAmphora): Promise<object> {
  const starts = await timed(STARTS, async () => {
    await amphora.crash();
    await amphora.boot();
  });
  const bareStarts: number[] = [];
  for (let each = 0; each < STARTS; each += 1) {
    const bare = await bareServer();
    bareStarts.push(bare.started);
    await bare.stop();
  }
  const fresh = memoryOf(await amphora.agentPid());

  const bare = await bareServer();
  const issued = await amphora.pki.issue('amphorae-controller');
  const identity = { ca: amphora.pki.ca, ...issued, servername: amphora.id };
  const call: Call = (method, path, body) =>
    ask(identity, method, `https://[${amphora.address}]:9443${path}`, body);
  const floor = await timed(calls, bare.ask);
  const answers = {
    info: ratio(await timed(calls, () => call('GET', '/1.0/info')), floor),
    details: ratio(await timed(calls, () => call('GET', '/1.0/details')), floor),
  };
  await bare.stop();

  const plugged = await plugs(amphora, call);
  const haproxy = await haproxies(call);
  await timed(calls, () => call('GET', '/1.0/details'));
  const memory = { fresh: round(fresh), afterUse: round(memoryOf(await amphora.agentPid())) };
  return {
    startToFirstAnswer: ratio(starts, bareStarts),
    memoryPssMib: memory,
    ...answers,
    ...plugged,
    ...haproxy,
  };
}

async function plugs(amphora: TestAmphora, call: Call): Promise<object> {
  execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge']);
  execFileSync('ip', ['link', 'set', bridge, 'up']);
  const mac = (number: number) => `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`;
  for (let number = 0; number <= 5; number += 1) await amphora.attach(bridge, mac(number));
  const vip = await timed(1, () =>
    call('POST', '/1.0/plug/vip/10.9.0.5', {
      subnet_cidr: '10.9.0.0/24',
      gateway: '10.9.0.1',
      mac_address: mac(0),
      vrrp_ip: '10.9.0.2',
    }),
  );
  const networks = await timed(5, (index) =>
    call('POST', '/1.0/plug/network', {
      mac_address: mac(index + 1),
      fixed_ips: [{ ip_address: `10.${10 + index}.0.2`, subnet_cidr: `10.${10 + index}.0.0/24` }],
    }),
  );
  const moved = await timed(5, async (index) => {
    const name = `tn${index}${randomBytes(3).toString('hex')}`;
    execFileSync('ip', ['link', 'add', name, 'type', 'veth']);
    execFileSync('ip', ['link', 'set', name, 'netns', amphora.namespace]);
    execFileSync('ip', ['-n', amphora.namespace, 'link', 'set', name, 'up']);
    execFileSync('ip', ['-n', amphora.namespace, 'link', 'delete', name]);
  });
  return { plugVip: ratio(vip, moved), plugNetwork: ratio(networks, moved) };
}

async function haproxies(call: Call): Promise<object> {
  const upload = (version: number) =>
    call('PUT', `/1.0/loadbalancer/${LB}/${LB}/haproxy`, haproxyConfig(version));
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, haproxyConfig(0).replaceAll('/var/lib/octavia', directory));
  const checks = await timed(10, async () => execFileSync('haproxy', ['-c', '-f', file], { stdio: 'pipe' }));
  const floorStarts = await timed(3, async () => {
    const child = spawn('haproxy', ['-W', '-db', '-f', file], { stdio: 'ignore' });
    const socket = join(directory, `${LB}.sock`);
    while (!isSocket(socket)) await sleep(1);
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(socket, { force: true });
  });
  const uploads = await timed(10, upload);
  const start = await timed(1, () => call('PUT', `/1.0/loadbalancer/${LB}/start`));
  const reloads: number[] = [];
  for (let version = 0; version < 7; version += 1) {
    await upload(version);
    reloads.push(...(await timed(1, () => call('PUT', `/1.0/loadbalancer/${LB}/reload`))));
  }
  return {
    haproxyUpload: ratio(uploads, checks),
    haproxyStart: ratio(start, floorStarts),
    haproxyReload: ratio(reloads, floorStarts),
  };
}

function isSocket(path: string): boolean {
  try {
    execFileSync('test', ['-S', path]);
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const program = join(directory, 'agent.mjs');
  await bundleProgram('agent/main.ts', program);
  const unit = readFileSync(join(import.meta.dirname, '../agent/systemd/amphora-agent.service'), 'utf8');
  const [nodeOptions = ''] = /(?<=^ExecStart=\S+ )--\S+/m.exec(unit) ?? [];
  const amphora = await TestAmphora.start({}, { program, codeCache: join(directory, 'code'), nodeOptions });
  try {
    process.stdout.write(`${JSON.stringify({ calls, ...(await measure(amphora)) }, null, 2)}\n`);
  } finally {
    await amphora.stop();
    execFileSync('ip', ['link', 'delete', bridge]);
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
