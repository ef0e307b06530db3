import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Deltas } from '../../agent/heartbeat/deltas.ts';
import { readStatistics } from '../../agent/heartbeat/haproxy-report.ts';
import { Heartbeats, type Observe } from '../../agent/heartbeat/heartbeats.ts';
import { countStart } from '../../agent/heartbeat/start-count.ts';
import {
  type Heartbeat,
  LARGEST_DATAGRAM,
  openHeartbeat,
  sealHeartbeat,
} from '../../src/amphora-api/heartbeat.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-heartbeat-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const id = (last: number) => `0d9a3f4e-7c1b-4b5e-9a55-3b1f6f6c${String(last).padStart(4, '0')}`;
const [AMPHORA, LISTENER, POOL, MEMBER] = [id(1), id(2), id(3), id(4)] as const;
const KEY = 'insecure';

/** Compressed and signed by Python's zlib and hmac, as an amphora of Octavia does. */
const OCTAVIA = Buffer.from(
  'eNqdj8EOgjAQRH+F9GxNsRQCd6/KxbOhZYlEabWtxIT0392C3tFTZ7a7kzcT6VtSJYS1ZcO7DGihUkkzKYCWjRCUy7TLu1wxxlKySYiDB67nBcpb7zxosA4H05qA3bzofOOf8YYc6/1hzsTJEuJf+MRsG4VAoYzW8S9F7Y3/Wo4W7MzCQgjo7sbcVpPw6g/cUx1hBxjkD52zeKlNoi6grmRBHcF+KlhQ49n3A8SGWxHe99huGGM1MWEzMTI0ZWFlNTJkYjMwOTM1YjVjMGQ0ZmI1NGIyYWY0ODJmZmMyNGExYThhZjUzZmZhYTUwMjE4MTIwNGI=',
  'base64',
);
const OCTAVIA_RAW_MAC = 'xRoxJOrlLbMJNbXA1PtUsq9IL/wkoaivU/+qUCGBIEs=';

const heartbeat: Heartbeat = {
  id: AMPHORA,
  seq: 67,
  ver: 3,
  listeners: { [LISTENER]: { status: 'OPEN', stats: { tx: 7, rx: 5, conns: 1, totconns: 3, ereq: 0 } } },
  pools: { [`${POOL}:${LISTENER}`]: { status: 'UP', members: { [MEMBER]: 'no check' } } },
};

test("a heartbeat of Octavia's own agent is understood", () => {
  assert.equal(openHeartbeat(OCTAVIA, KEY), heartbeat);
  const raw = Buffer.concat([OCTAVIA.subarray(0, -64), Buffer.from(OCTAVIA_RAW_MAC, 'base64')]);
  assert.equal(openHeartbeat(raw, KEY), heartbeat);
  assert.equal(openHeartbeat(sealHeartbeat(heartbeat, KEY), KEY), heartbeat);
});

test('what is forged, damaged or no heartbeat is refused', () => {
  const sealed = sealHeartbeat(heartbeat, KEY);
  const damaged = Buffer.from(sealed);
  damaged[10] = (damaged[10] ?? 0) ^ 1;
  const seal = (message: object) => sealHeartbeat(message as Heartbeat, KEY);
  const cases: [Buffer, RegExp][] = [
    [damaged, /signature/],
    [sealHeartbeat(heartbeat, 'another key'), /signature/],
    [sealed.subarray(0, 40), /signature/],
    [Buffer.alloc(0), /signature/],
    [Buffer.alloc(64, 'z'), /signature/],
    [seal({ ...heartbeat, id: '../../etc' }), /^id: /],
    [seal({ ...heartbeat, ver: 2 }), /^ver: /],
    [
      seal({ ...heartbeat, listeners: { [LISTENER]: { status: 'OPEN', stats: { tx: -1 } } } }),
      /^listeners\./,
    ],
    [seal({ ...heartbeat, id: 'x'.repeat(2 ** 21) }), /./],
  ];
  for (const [datagram, reason] of cases) assert.throws(() => openHeartbeat(datagram, KEY), reason);
});

const columns = '# pxname,svname,qcur,scur,stot,bin,bout,ereq,status,weight,';
const backend = `${POOL}:${LISTENER}`;

test("haproxy's words become listeners, pools and members", () => {
  const statistics = `${columns}
stats,FRONTEND,,1,1,1,1,0,OPEN,,
${LISTENER},FRONTEND,,2,30,400,5000,6,OPEN,,
${backend},${id(11)},0,0,0,0,0,,UP,1,
${backend},${id(12)},0,0,0,0,0,,DOWN 1/2,1,
${backend},${id(13)},0,0,0,0,0,,UP,0,
${backend},BACKEND,0,0,0,0,0,,UP,2,

`;
  assert.equal(readStatistics(statistics), {
    listeners: {
      [LISTENER]: { status: 'OPEN', stats: { tx: 5000, rx: 400, conns: 2, totconns: 30, ereq: 6 } },
    },
    pools: {
      [backend]: { status: 'UP', members: { [id(11)]: 'UP', [id(12)]: 'DOWN 1/2', [id(13)]: 'DRAIN' } },
    },
  });
});

test('counters are told once, also over a restart of the agent and of haproxy', async () => {
  const report = (worker: number, rx: number) => [
    {
      worker,
      listeners: { [LISTENER]: { status: 'OPEN', stats: { tx: 0, rx, conns: 9, totconns: 0, ereq: 0 } } },
    },
  ];
  const told = async (worker: number, rx: number) => {
    const { [LISTENER]: listener } = await new Deltas(directory).take(report(worker, rx));
    return listener?.stats;
  };
  const rest = { tx: 0, conns: 9, totconns: 0, ereq: 0 };
  assert.equal(await told(100, 50), { ...rest, rx: 50 });
  assert.equal(await told(100, 80), { ...rest, rx: 30 });
  assert.equal(await told(101, 90), { ...rest, rx: 90 }, 'another worker');
  assert.equal(await told(101, 20), { ...rest, rx: 20 }, 'counters were cleared');
});

test('each start of the agent has a higher number', async () => {
  assert.equal([await countStart(directory), await countStart(directory)], [1, 2]);
});

async function hear(
  observe: Observe,
  count: number,
): Promise<{ heartbeats: Heartbeat[]; heardBy: number[] }> {
  const controllers = ['udp4', 'udp6'].map((type) => createSocket(type as 'udp4'));
  const heartbeats: Heartbeat[] = [];
  const heardBy: number[] = [];
  const log = pino({ level: 'silent' });
  const sender = new Heartbeats({ amphoraId: AMPHORA, start: 3, observe, log });
  try {
    for (const socket of controllers) socket.bind(0);
    await Promise.all(controllers.map((socket) => once(socket, 'listening')));
    const done = new Promise<void>((resolve) => {
      for (const [index, socket] of controllers.entries()) {
        socket.on('message', (datagram) => {
          heartbeats.push(openHeartbeat(datagram, KEY));
          heardBy.push(index);
          if (heartbeats.length === count) resolve();
        });
      }
    });
    const [ipv4, ipv6] = controllers.map((socket) => socket.address().port);
    sender.configure({
      controllers: [`127.0.0.1:${ipv4}`, `[::1]:${ipv6}`],
      key: KEY,
      interval_seconds: 0.02,
    });
    await done;
    return { heartbeats, heardBy };
  } finally {
    await sender.close();
    for (const socket of controllers) socket.close();
  }
}

test('the controllers are told in turn, in growing numbers', async () => {
  const { listeners, pools } = heartbeat;
  const { heartbeats, heardBy } = await hear(async () => ({ listeners, pools }), 4);
  assert.equal(heartbeats[0], { ...heartbeat, seq: 0, start: 3 });
  assert.equal(
    heartbeats.map(({ seq }) => seq),
    [0, 1, 2, 3],
  );
  assert.equal(heardBy, [0, 1, 0, 1]);
});

test('an amphora that cannot do its work is silent, and speaks again when it can', async () => {
  let looks = 0;
  const observe: Observe = async () => {
    looks += 1;
    if (looks === 1) throw new Error('haproxy does not answer');
    return looks === 2 ? undefined : { listeners: {}, pools: {} };
  };
  const { heartbeats } = await hear(observe, 1);
  assert.is(heartbeats[0]?.seq, 0);
  assert.is(looks, 3);
});

test('a load balancer whose members do not fit into a datagram still lives', async () => {
  const members = Object.fromEntries(Array.from({ length: 4_000 }, () => [crypto.randomUUID(), 'UP']));
  const pools = { [backend]: { status: 'UP', members } };
  assert.ok(sealHeartbeat({ ...heartbeat, pools }, KEY).length > LARGEST_DATAGRAM);
  const { heartbeats } = await hear(async () => ({ listeners: heartbeat.listeners, pools }), 1);
  assert.equal(heartbeats[0]?.listeners, heartbeat.listeners);
  assert.is(heartbeats[0]?.pools, undefined);
});

test.run();
