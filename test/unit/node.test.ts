import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Envelope } from '../../src/actors/bus.ts';
import type { Controlled } from '../../src/actors/control.ts';
import { Node } from '../../src/actors/node.ts';
import { partitionOf } from '../../src/machines/address.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { machinesWith } from '../../src/machines/registry.ts';
import { Random } from '../simulation/random.ts';
import { SimulatedProcess } from '../simulation/simulated-process.ts';
import { SimulatedStore } from '../simulation/store.ts';
import { storeThrough } from '../simulation/store-calls.ts';
import { VirtualTime } from '../simulation/virtual-time.ts';
import { silentBus } from '../support/bus.ts';

// How much of what waits a node holds in memory.

const CACHE_SIZE = 3;
const HOUR_MS = 3_600_000;

/** A node on virtual time with effects that never end; it sweeps when a test says so. */
async function open() {
  const time = new VirtualTime();
  const random = new Random(1);
  const { clock } = new SimulatedProcess('node', time, random);
  const store = new SimulatedStore({ now: () => time.now, random, applyRowChange: () => {} });
  const gate = { opened: Promise.resolve() };
  const receivers = new Map<number, (envelope: Envelope) => void>();
  let controlled: Controlled | undefined;
  const hanging = { run: () => new Promise(() => {}), retry: { attempts: 1, deadlineMs: HOUR_MS } };
  const node = new Node(
    {
      store: storeThrough(store, async (call) => {
        await gate.opened;
        return call();
      }),
      bus: {
        ...silentBus,
        subscribe(partition, receive) {
          receivers.set(partition, receive);
          return () => receivers.delete(partition);
        },
      },
      clock,
      machines: machinesWith({
        ...{ create: HOUR_MS, update: HOUR_MS, failover: HOUR_MS, delete: HOUR_MS, boot: HOUR_MS },
        ...{ step: HOUR_MS, portGrace: HOUR_MS, syncGrace: HOUR_MS },
      }),
      effects: { allocateVip: hanging } as unknown as Effects,
      control: {
        attend: (node) => {
          controlled = node;
        },
        leasesChanged: () => {},
        ping: async () => [],
      },
      log: pino({ level: 'silent' }),
    },
    {
      ...{ node: 'node', leaseMs: HOUR_MS, sweepMs: HOUR_MS, cacheSize: CACHE_SIZE },
      ...{ effectConcurrency: 100, providerConcurrency: 100 },
    },
  );
  await node.start();
  return {
    store,
    pass: () => time.run(() => false, 1_000),
    /** Commits wait until the function is called that it returns. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate.opened = promise;
      return resolve;
    },
    /** A load balancer that waits for its VIP. */
    create(): string {
      const id = random.uuid();
      const input = { loadBalancerId: id, topology: 'SINGLE', amphoraIds: [random.uuid()] };
      deliver(store.spawn({ kind: 'load-balancer', id, loadBalancerId: id }, input));
      return id;
    },
    send(id: string): void {
      const event = { type: 'AMPHORA_ALIVE', amphoraId: 'none' };
      deliver(store.send({ kind: 'load-balancer', id, loadBalancerId: id }, event));
    },
    sweep: () => node.sweep(),
    load: () => controlled?.load(),
  };

  function deliver(envelope: Envelope): void {
    receivers.get(partitionOf(envelope.actorId))?.(envelope);
  }
}

test('of a flood of messages a node holds few, and takes the others from the store in their order', async () => {
  const { store, pass, hold, create, send, sweep } = await open();
  const id = create();
  await pass();
  const release = hold();
  const sent = 500;
  for (let count = 0; count < sent; count += 1) send(id);
  release();
  await pass();
  const taken = sent - store.messages().length;
  assert.ok(taken > 0 && taken < sent / 4, `${taken} were held`);
  for (let round = 0; round < sent && store.messages().length > 0; round += 1) {
    await sweep();
    await pass();
  }
  assert.is(store.actor({ kind: 'load-balancer', id })?.version, sent + 1);
});

test('a node keeps the actors of its cache in memory, and wakes the others when they are needed', async () => {
  const { store, pass, create, send, sweep, load } = await open();
  const ids = Array.from({ length: 20 }, create);
  await pass();
  assert.equal([load()?.actors, load()?.effects], [20, 20]);
  await sweep();
  assert.is(load()?.actors, CACHE_SIZE);
  for (const id of ids) send(id);
  await pass();
  for (const id of ids) assert.is(store.actor({ kind: 'load-balancer', id })?.version, 2);
  await sweep();
  assert.equal([load()?.actors, load()?.effects], [CACHE_SIZE, 20]);
});

test.run();
