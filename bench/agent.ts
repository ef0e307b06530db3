import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { Agent, request } from 'undici';
import { TestAmphora } from '../test/support/test-amphora.ts';
import { createTestPki } from '../test/support/test-pki.ts';
import { memoryOf } from './node-process.ts';
import { percentiles, round } from './statistics.ts';

/**
 * The agent of an amphora: until it answers, its memory, and how long calls take. `node bench/agent.ts [calls]` prints JSON;
 * times in milliseconds. Give it a NODE_COMPILE_CACHE, as the netns provider gives it to its agents. Floors of the same run: a start of Node.js, a bare HTTPS server with the same kind of certificate
 * and a new connection for each call, and a start of haproxy that only tells its version.
 */
const calls = Number(process.argv[2] ?? 100);
const LB = '11111111-0000-4000-8000-000000000001';
const haproxyConfig = (version: number) => `global
    user nobody
defaults
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend 22222222-0000-4000-8000-000000000001
    mode http
    bind 127.0.0.1:${8080 + (version % 2)}
`;

async function times(count: number, work: (index: number) => Promise<unknown>): Promise<number[]> {
  const taken: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const start = performance.now();
    await work(index);
    taken.push(performance.now() - start);
  }
  return taken;
}

/** One call on a connection of its own, as Octavia's controllers make them. */
async function askAnew(
  url: string,
  connect: { ca: string; cert: string; key: string; servername: string },
): Promise<void> {
  const dispatcher = new Agent({ connect });
  await (await request(url, { dispatcher })).body.dump();
  await dispatcher.close();
}

async function bareServer(): Promise<{ ask(): Promise<void>; close(): void }> {
  const pki = await createTestPki();
  const [server, client] = [await pki.issue('server'), await pki.issue('client')];
  const options = { ...server, ca: pki.ca, requestCert: true };
  const listening = createServer(options, (_, response) => response.end('{}'));
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const { port } = listening.address() as { port: number };
  return {
    ask: () => askAnew(`https://127.0.0.1:${port}/`, { ca: pki.ca, ...client, servername: 'server' }),
    close: () => listening.close(),
  };
}

const amphora = await TestAmphora.start();
const bare = await bareServer();
try {
  const boots = await times(3, async () => {
    await amphora.crash();
    await amphora.boot();
  });
  const nodeStart = await times(3, async () => execFileSync(process.execPath, ['-e', '0']));
  const fresh = memoryOf(await amphora.agentPid());
  const connect = {
    ca: amphora.pki.ca,
    ...(await amphora.pki.issue('amphorae-controller')),
    servername: amphora.id,
  };
  const put = (version: number) =>
    amphora.call('PUT', `/1.0/loadbalancer/${amphora.id}/${LB}/haproxy`, haproxyConfig(version));
  const floor = percentiles(await times(calls, () => bare.ask()));
  const answered = async (path: string) => {
    const url = `https://[${amphora.address}]:9443${path}`;
    const measured = percentiles(await times(calls, () => askAnew(url, connect)));
    return { ...measured, ratio: round(measured.p50 / floor.p50) };
  };
  const info = await answered('/1.0/info');
  const details = await answered('/1.0/details');
  const upload = percentiles(await times(10, put));
  const check = percentiles(await times(10, async () => execFileSync('/usr/sbin/haproxy', ['-v'])));
  const [start] = await times(1, () => amphora.call('PUT', `/1.0/loadbalancer/${LB}/start`));
  const reloads: number[] = [];
  for (let version = 0; version < 5; version += 1) {
    await put(version);
    reloads.push(...(await times(1, () => amphora.call('PUT', `/1.0/loadbalancer/${LB}/reload`))));
  }
  const report = {
    start_to_first_answer: {
      ...percentiles(boots),
      ratio: round(percentiles(boots).p50 / percentiles(nodeStart).p50),
    },
    memory_pss_mib: { fresh: round(fresh), after_use: round(memoryOf(await amphora.agentPid())) },
    floor_https_answer: floor,
    info,
    details,
    haproxy_upload: { ...upload, ratio: round(upload.p50 / check.p50) },
    haproxy_start: round(start ?? Number.NaN),
    haproxy_reload: percentiles(reloads),
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
} finally {
  bare.close();
  await amphora.stop();
}
