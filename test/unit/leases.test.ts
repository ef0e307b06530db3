import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LeaseListener, Leases } from '../../src/actors/leases.ts';
import { PARTITIONS } from '../../src/machines/address.ts';
import { TransientError } from '../../src/model/errors.ts';
import { Random } from '../simulation/random.ts';
import { SimulatedProcess } from '../simulation/simulated-process.ts';
import { SimulatedStore } from '../simulation/store.ts';
import { storeThrough } from '../simulation/store-calls.ts';
import { VirtualTime } from '../simulation/virtual-time.ts';

const LEASE_MS = 6_000;

/** Nodes that hold leases on virtual time; effects end when they are told, those of `deaf` nodes never do. */
function open() {
  const time = new VirtualTime();
  const random = new Random(1);
  const store = new SimulatedStore({ now: () => time.now, random, applyRowChange: () => {} });
  const database = { away: false };
  const log = pino({ level: 'silent' });
  const start = async (node: string, { deaf = false } = {}) => {
    const process = new SimulatedProcess(node, time, random);
    const epochs = new Map<number, number>();
    const listener: LeaseListener = {
      gained: (partition, epoch) => void epochs.set(partition, epoch),
      lost: async (partition) => {
        epochs.delete(partition);
        if (deaf) await new Promise(() => {});
      },
      handedOver: () => {},
    };
    const reached = storeThrough(store, async (call) => {
      if (database.away) throw new TransientError('database_unavailable', 'away');
      return call();
    });
    const leases = new Leases(reached, { node, leaseMs: LEASE_MS, clock: process.clock, log }, listener);
    await leases.start();
    return { leases, epochs, held: () => leases.partitions().length, die: () => process.kill() };
  };
  const pass = (ms: number) => time.run(() => false, ms);
  return { store, database, start, pass };
}

test('an effect that ignores its cancellation does not keep the other leases from being renewed', async () => {
  const { start, pass } = open();
  const deaf = await start('deaf', { deaf: true });
  const other = await start('other');
  for (let round = 0; round < 12; round += 1) {
    await pass(LEASE_MS / 3);
    assert.ok(deaf.held() >= PARTITIONS / 2, `after ${round} rounds it holds ${deaf.held()}`);
  }
  assert.equal([deaf.held(), other.held()], [PARTITIONS / 2, PARTITIONS / 2]);
});

test('what a node hands over is nobody’s while its effects are being stopped, for one lease at most', async () => {
  const { start, pass } = open();
  const deaf = await start('deaf', { deaf: true });
  const other = await start('other');
  await pass(LEASE_MS / 3 + 10);
  assert.equal([deaf.held(), other.held()], [PARTITIONS / 2, 0]);
  await pass(LEASE_MS * 1.5);
  assert.equal([deaf.held(), other.held()], [PARTITIONS / 2, PARTITIONS / 2]);
});

test('a node whose effects do not end can be closed all the same', async () => {
  const { store, start, pass } = open();
  const deaf = await start('deaf', { deaf: true });
  let closed = false;
  const closing = deaf.leases.close().then(() => {
    closed = true;
  });
  await pass(LEASE_MS / 2);
  assert.is(closed, false);
  await pass(LEASE_MS);
  await closing;
  const { leases } = await store.renewLeases('next', LEASE_MS, false);
  assert.is(leases.length, PARTITIONS);
});

test('leases that are lost and gained again have a higher epoch', async () => {
  const { store, start, pass } = open();
  const node = await start('node');
  const before = node.epochs.get(0) ?? 0;
  await store.releaseLeases('node', [0]);
  await pass(LEASE_MS / 2);
  assert.ok((node.epochs.get(0) ?? 0) > before);
});

test('a node that cannot reach the database drops everything before its leases end there', async () => {
  const { store, database, start, pass } = open();
  const node = await start('node');
  await pass(LEASE_MS / 3 + 10);
  const leaseEnds = store.lease(0)?.leaseUntil ?? 0;
  database.away = true;
  await pass(leaseEnds - LEASE_MS / 4 - store.now());
  assert.is(node.held(), PARTITIONS);
  await pass(leaseEnds - 1 - store.now());
  assert.equal([node.held(), node.epochs.size], [0, 0]);
  database.away = false;
  await pass(LEASE_MS / 2);
  assert.is(node.held(), PARTITIONS);
});

test('what a dead node held is taken as soon as its lease ends', async () => {
  const { start, pass } = open();
  const dying = await start('dying');
  await pass(LEASE_MS / 12);
  const heir = await start('heir');
  await pass(LEASE_MS / 3);
  dying.die();
  const lastRenewal = LEASE_MS / 3;
  await pass(LEASE_MS + lastRenewal - (LEASE_MS * 5) / 12 - 20);
  assert.is(heir.held(), PARTITIONS / 2);
  await pass(40);
  assert.is(heir.held(), PARTITIONS);
});

test.run();
