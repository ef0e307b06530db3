import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Envelope } from '../../src/actors/bus.ts';
import type { Outcome } from '../../src/actors/interpreter.ts';
import type { ActorRow, ActorStore, Cause, Commit, CommitResult } from '../../src/actors/store.ts';
import { newborn } from '../../src/actors/turn.ts';
import { type ActorAddress, PARTITIONS, partitionOf } from '../../src/machines/address.ts';

/** A store, and what the code around the runtime does to it. */
export interface StoreHarness {
  store: ActorStore;
  /** As the API does in its transactions. */
  spawn(address: ActorAddress, input: object): Promise<Envelope>;
  send(address: ActorAddress, event: { type: string }): Promise<Envelope>;
  /** As an operator does. */
  drain(node: string, draining: boolean): Promise<void>;
  deadLetters(actorId: string): Promise<{ event: { type: string }; error: string }[]>;
  /** Let the store's clock go on. */
  elapse(ms: number): Promise<void>;
  /** Set the store's clock, forward or back. */
  setClock(byMs: number): Promise<void>;
}

const NODE = 'node-a';
const LEASE_MS = 60_000;

/**
 * What the runtime relies on, whatever the store is made of.
 * @param open makes the store as good as new
 */
export function storeContract(open: () => Promise<StoreHarness>): void {
  const promise = (text: string, keep: (given: Given) => Promise<void>) =>
    test(text, async () => keep(await given(await open())));

  promise('a new actor has its input, no snapshot, and one message', async ({ store, actor, address }) => {
    assert.is(actor.version, 0);
    assert.is(actor.snapshot, null);
    assert.equal(actor.input, { answer: 42 });
    assert.equal(
      (await store.mailbox(address, 9)).map(({ event }) => event.type),
      ['amphorae.start'],
    );
    assert.is(await store.load({ kind: 'amphora', id: randomUUID() }), undefined);
  });

  promise('what is committed is what is loaded', async ({ store, actor, address, take, first }) => {
    const effects = { push: { src: 'pushConfig' as const, input: { a: 1 }, token: 1 } };
    const snapshot = { value: { updating: 'configSync' }, context: { text: 'ü\u2028"' } };
    assert.is(
      (await take(actor, first, { snapshot, state: 'updating.configSync', effects })).result,
      'committed',
    );
    const loaded = await store.load(address);
    assert.equal(
      [loaded?.version, loaded?.snapshot, loaded?.state, loaded?.effects, loaded?.done],
      [1, snapshot, 'updating.configSync', effects, false],
    );
    assert.equal(
      (await store.busy(actor.partition)).map(({ id }) => id),
      [actor.id],
    );
  });

  promise('a message is processed once', async ({ store, actor, address, take, first, load }) => {
    await take(actor, first);
    assert.equal(await take(actor, first), { result: 'conflict' });
    assert.equal(await take(await load(), first), { result: 'duplicate' });
    assert.is((await load()).version, 1);
    assert.equal(await store.mailbox(address, 9), []);
  });

  promise('an actor that has changed since it was loaded is not written', async (given) => {
    const { actor, address, take, send, first } = given;
    await take(actor, first);
    const second = await send(address, { type: 'SECOND' });
    assert.equal(await take(actor, second), { result: 'conflict' });
    assert.is((await given.load()).version, 1);
  });

  promise('messages of an actor are processed in the order in which they were stored', async (given) => {
    const { store, actor, address, take, send, first } = given;
    const second = await send(address, { type: 'SECOND' });
    assert.ok(second.seq > first.seq);
    assert.equal(await take(actor, second), { result: 'disordered' });
    assert.equal(await store.mailbox(address, 9), [first, second]);
    assert.equal(await store.mailbox(address, 1), [first]);
    await take(actor, first);
    assert.is((await take(await given.load(), second)).result, 'committed');
  });

  promise('commits at the same time have each the result that they would have alone', async (given) => {
    const { store, commit, spawn } = given;
    const expected = ['committed', 'fenced', 'conflict', 'duplicate', 'disordered'];
    const born = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const id = randomUUID();
        const address = { kind: 'load-balancer', id, loadBalancerId: id } as const;
        const envelope = await spawn(address, {});
        return { address, envelope, actor: (await store.load(address)) as ActorRow };
      }),
    );
    const results = await Promise.all(
      born.map(({ actor, envelope, address }, index) => {
        const changes = { messages: [{ to: address, event: { type: 'RELEASE' } as const }] };
        const request = commit(actor, message(envelope), outcome(changes));
        // Every partition is ours, under one epoch each.
        const mine = { ...request, epoch: given.epochs.get(actor.partition) ?? -1 };
        switch (expected[index % expected.length]) {
          case 'fenced':
            return store.commit({ ...mine, node: 'node-b' });
          case 'conflict':
            return store.commit({ ...mine, actor: { ...actor, version: 7 } });
          case 'duplicate':
            return store.commit({ ...mine, cause: message({ ...envelope, id: randomUUID() }) });
          case 'disordered':
            return store.commit({ ...mine, cause: message({ ...envelope, seq: envelope.seq + 1 }) });
          default:
            return store.commit(mine);
        }
      }),
    );
    assert.equal(
      results.map(({ result }) => result),
      born.map((_, index) => expected[index % expected.length] ?? ''),
    );
    for (const [index, { address, envelope }] of born.entries()) {
      const result = results[index];
      const waiting = await store.mailbox(address, 9);
      assert.equal(waiting, result?.result === 'committed' ? result.sent : [envelope]);
    }
  });

  promise('of two commits of one actor at the same time, one is made', async (given) => {
    const { store, actor, address, take, first } = given;
    const results = await Promise.all([take(actor, first), take(actor, first)]);
    assert.equal(results.map(({ result }) => result).sort(), ['committed', 'conflict']);
    assert.is((await given.load()).version, 1);
    assert.equal(await store.mailbox(address, 9), []);
  });

  promise('a message for an actor that does not exist is nobody’s', async ({ actor, take, first }) => {
    assert.equal(await take({ ...actor, id: randomUUID() }, first), { result: 'duplicate' });
  });

  promise('only the holder of the lease writes', async ({ store, actor, commit, first, load, epoch }) => {
    const request = commit(actor, message(first), outcome());
    assert.equal(await store.commit({ ...request, node: 'node-b' }), { result: 'fenced' });
    assert.equal(await store.commit({ ...request, epoch: epoch - 1 }), { result: 'fenced' });
    await store.releaseLeases(NODE, [actor.partition]);
    assert.equal(await store.commit(request), { result: 'fenced' });
    assert.is((await load()).version, 0);
  });

  promise('a commit that is refused does nothing at all', async (given) => {
    const { store, actor, address, commit, first } = given;
    const child = { kind: 'amphora', id: randomUUID(), loadBalancerId: address.id } as const;
    const request = commit(
      actor,
      message(first),
      outcome({
        armedTimers: [{ name: 'deadline', event: { type: 'LATE' }, delayMs: 0 }],
        messages: [{ to: address, event: { type: 'RELEASE' } }],
        spawned: [{ address: child, input: inputOf(child) }],
      }),
    );
    await store.commit({ ...request, node: 'node-b' });
    assert.equal(await store.mailbox(address, 9), [first]);
    assert.equal(await store.timers([actor.partition], 1_000), []);
    assert.is(await store.load(child), undefined);
  });

  promise('what a commit sends and spawns is stored, in its order, and returned', async (given) => {
    const { store, actor, address, take, first } = given;
    const child = { kind: 'amphora', id: randomUUID(), loadBalancerId: address.id } as const;
    const result = await take(actor, first, {
      spawned: [{ address: child, input: inputOf(child) }],
      messages: [
        { to: child, event: { type: 'SYNC', round: 1 } },
        { to: child, event: { type: 'RELEASE' } },
      ],
    });
    assert.is(result.result, 'committed');
    const sent = result.result === 'committed' ? result.sent : [];
    assert.equal(
      sent.map(({ event, partition }) => [event.type, partition]),
      ['amphorae.start', 'SYNC', 'RELEASE'].map((type) => [type, actor.partition]),
    );
    assert.equal(await store.mailbox(child, 9), sent);
    assert.equal((await store.load(child))?.input, inputOf(child));
  });

  promise('what is sent within a commit is taken there, by newborns and in several steps', async (given) => {
    const { store, actor, address, commit, first, load } = given;
    const child = { kind: 'amphora', id: randomUUID(), loadBalancerId: address.id } as const;
    const birth = { address: child, input: inputOf(child) };
    const plugged = {
      to: address,
      event: { type: 'AMPHORA_PLUGGED', amphoraId: child.id, round: 0 } as const,
    };
    const sync = { to: child, event: { type: 'SYNC', round: 1 } as const };
    const deadline = (delayMs: number) => [{ name: 'deadline', event: { type: 'LATE' }, delayMs }];
    const effects = { push: { src: 'pushConfig' as const, input: {}, token: 2 } };
    const newborn = { ...actor, ...child, input: birth.input };
    const request = commit(actor, message(first), outcome({ spawned: [birth], armedTimers: deadline(0) }));
    const follow = (
      takes: typeof birth | typeof sync | typeof plugged,
      actor: ActorRow,
      changes: Partial<Outcome>,
    ) => ({
      ...{ takes, actor, event: { type: 'FOLLOWING' } },
      outcome: outcome(changes),
    });
    const followers = [
      follow(birth, newborn, { state: 'plugged', messages: [plugged], armedTimers: deadline(9) }),
      follow(plugged, { ...actor, version: 1 }, { messages: [sync], disarmedTimers: ['deadline'] }),
      follow(
        sync,
        { ...newborn, version: 1 },
        {
          ...{ state: 'configSync', effects, armedTimers: deadline(0) },
          ...{ disarmedTimers: ['deadline'], messages: [{ to: child, event: { type: 'RELEASE' } }] },
        },
      ),
    ];
    const result = await store.commit({ ...request, followers });
    assert.is(result.result, 'committed');
    assert.equal(result.result === 'committed' && result.sent.map(({ event }) => event.type), ['RELEASE']);
    assert.equal([(await load()).version, await store.mailbox(address, 9)], [2, []]);
    const born = await store.load(child);
    assert.equal(
      [born?.version, born?.state, born?.effects, born?.input],
      [2, 'configSync', effects, birth.input],
    );
    assert.equal(
      (await store.mailbox(child, 9)).map(({ event }) => event.type),
      ['RELEASE'],
    );
    const timers = await store.timers([actor.partition], 1_000);
    assert.equal(
      timers.map(({ id, armedVersion }) => [id, armedVersion]),
      [[child.id, 2]],
    );
  });

  promise(
    'an actor that has changed or whose messages wait takes nothing from others, and nothing is done',
    async (given) => {
      const { store, actor, address, commit, first, spawn, load } = given;
      const child = { kind: 'amphora', id: randomUUID(), loadBalancerId: address.id } as const;
      const born = await spawn(child, {});
      const sync = { to: child, event: { type: 'SYNC', round: 1 } as const };
      const attempt = async (cause: Cause, version: number) => {
        const follower = {
          takes: sync,
          actor: { ...actor, ...child, version },
          event: sync.event,
          outcome: outcome(),
        };
        const request = commit(await load(), cause, outcome({ messages: [sync] }));
        return (await store.commit({ ...request, followers: [follower] })).result;
      };
      assert.not.equal(await attempt(message(first), 0), 'committed');
      assert.equal([await store.mailbox(address, 9), await store.mailbox(child, 9)], [[first], [born]]);
      await store.bury(born, 'out of the way');
      assert.not.equal(await attempt(message(first), 7), 'committed');
      assert.is((await load()).version, 0);
      assert.is(await attempt(message(first), 0), 'committed');
      assert.is((await store.load(child))?.version, 1);
    },
  );

  promise('waiting messages are found by partition, oldest first', async (given) => {
    const { store, actor, address, send, first } = given;
    const second = await send(address, { type: 'SECOND' });
    assert.equal(await store.waiting([actor.partition], 9), [first, second]);
    assert.equal(await store.waiting([actor.partition], 1), [first]);
    assert.equal(await store.waiting([(actor.partition + 1) % PARTITIONS], 9), []);
  });

  promise('a timer is due when its time has come, and fires once', async (given) => {
    const { store, actor, take, first, load, commit, elapse } = given;
    await take(actor, first, {
      armedTimers: [
        { name: 'soon', event: { type: 'SOON' }, delayMs: 20 },
        { name: 'later', event: { type: 'LATER' }, delayMs: 60_000 },
      ],
    });
    const [soon, ...others] = await store.timers([actor.partition], 1_000);
    assert.equal(others, []);
    assert.equal([soon?.name, soon?.event, soon?.armedVersion], ['soon', { type: 'SOON' }, 1]);
    assert.ok((soon?.dueInMs ?? 99) <= 20);
    await elapse(30);
    assert.ok(((await store.timers([actor.partition], 0))[0]?.dueInMs ?? 99) < 0);

    const fired: Cause = { from: 'timer', name: 'soon', armedVersion: 1 };
    assert.is((await store.commit(commit(await load(), fired, outcome()))).result, 'committed');
    assert.equal(await store.commit(commit(await load(), fired, outcome())), { result: 'duplicate' });
    assert.equal(
      (await store.timers([actor.partition], 90_000)).map(({ name }) => name),
      ['later'],
    );
  });

  promise('a timer that was armed again fires as the new one only; disarmed, not at all', async (given) => {
    const { store, actor, take, first, send, address, load, commit } = given;
    const armedTimers = [{ name: 'deadline', event: { type: 'LATE' }, delayMs: 0 }];
    await take(actor, first, { armedTimers });
    await take(await load(), await send(address, { type: 'AGAIN' }), {
      armedTimers,
      disarmedTimers: ['deadline'],
    });
    const stale: Cause = { from: 'timer', name: 'deadline', armedVersion: 1 };
    assert.equal(await store.commit(commit(await load(), stale, outcome())), { result: 'duplicate' });
    assert.equal(
      (await store.timers([actor.partition], 0)).map(({ armedVersion }) => armedVersion),
      [2],
    );
    await take(await load(), await send(address, { type: 'ENOUGH' }), { disarmedTimers: ['deadline'] });
    assert.equal(await store.timers([actor.partition], 0), []);
  });

  promise('a message that cannot be delivered is put aside with the reason', async (given) => {
    const { store, address, first } = given;
    await store.bury(first, 'nobody there');
    await store.bury(first, 'again');
    assert.equal(await store.mailbox(address, 9), []);
    assert.equal(await given.deadLetters(address.id), [{ event: first.event, error: 'nobody there' }]);
  });

  promise('an event that a chart cannot take is kept with the commit that says so', async (given) => {
    const { store, actor, address, commit, first } = given;
    const deadLetter = { event: { type: 'POISON' }, error: 'it threw' };
    const request = { ...commit(actor, message(first), outcome()), deadLetter };
    await store.commit({ ...request, node: 'node-b' });
    assert.equal(await given.deadLetters(address.id), []);
    await store.commit(request);
    assert.equal(await given.deadLetters(address.id), [deadLetter]);
    assert.equal(await store.mailbox(address, 9), []);
  });

  promise('a quarantined actor rests: its messages, timers and effects wait', async (given) => {
    const { store, actor, address, take, send, first, load, epoch } = given;
    await take(actor, first, {
      armedTimers: [{ name: 'deadline', event: { type: 'LATE' }, delayMs: 0 }],
      effects: { push: { src: 'pushConfig', input: {}, token: 1 } },
    });
    await send(address, { type: 'SECOND' });
    const row = await load();
    await store.quarantine(actor, 'an older version', NODE, epoch);
    await store.quarantine(row, 'another node', 'node-b', epoch);
    assert.is((await load()).quarantined, null);
    await store.quarantine(row, 'unreadable', NODE, epoch);
    assert.is((await load()).quarantined, 'unreadable');
    assert.equal(await store.waiting([actor.partition], 9), []);
    assert.equal(await store.timers([actor.partition], 0), []);
    assert.equal(await store.busy(actor.partition), []);
    assert.is((await store.mailbox(address, 9)).length, 1);
  });

  promise(
    'a renewed lease keeps its epoch; one given back and taken again gets a higher one',
    async (given) => {
      const { store, actor, epoch } = given;
      assert.is(await epochOf(store, NODE, actor.partition), epoch);
      await store.releaseLeases(NODE, [actor.partition]);
      assert.ok((await epochOf(store, NODE, actor.partition)) > epoch);
    },
  );

  promise('a lease that has ended is free, and not even its holder gets it back as it was', async (given) => {
    const { store, actor, epoch, elapse } = given;
    await store.renewLeases(NODE, 300, false);
    const { leases: none, freeInMs } = await store.renewLeases('node-b', 300, false);
    assert.equal(none, []);
    assert.ok(freeInMs > 0 && freeInMs <= 300, `${freeInMs} ms`);
    await elapse(500);
    const { leases } = await store.renewLeases('node-b', 400, false);
    const taken = leases.find(({ partition }) => partition === actor.partition);
    assert.is(leases.length, PARTITIONS);
    assert.ok(taken && taken.epoch > epoch);
    assert.is((await store.renewLeases('node-b', 400, false)).freeInMs, Number.POSITIVE_INFINITY);
    assert.equal((await store.renewLeases(NODE, LEASE_MS, false)).leases, []);
  });

  promise(
    'a process that comes back under the same name takes its leases over under new epochs',
    async (given) => {
      const { store, actor, epoch } = given;
      const { leases } = await store.renewLeases(NODE, LEASE_MS, true);
      assert.is(leases.length, PARTITIONS);
      assert.ok((leases.find(({ partition }) => partition === actor.partition)?.epoch ?? 0) > epoch);
    },
  );

  promise(
    'a process that comes back where others are takes its share over, and leaves them the rest',
    async (given) => {
      const { store, epochs } = given;
      await store.renewLeases('node-b', LEASE_MS, false);
      const { leases, share } = await store.renewLeases(NODE, LEASE_MS, true);
      assert.equal([leases.length, share], [PARTITIONS / 2, PARTITIONS / 2]);
      assert.ok(leases.every(({ partition, epoch }) => epoch > (epochs.get(partition) ?? 0)));
      assert.is((await store.renewLeases('node-b', LEASE_MS, false)).leases.length, PARTITIONS / 2);
    },
  );

  promise('two nodes share the partitions evenly; one that leaves makes room', async ({ store }) => {
    const late = await store.renewLeases('node-b', LEASE_MS, false);
    assert.equal([late.leases, late.share], [[], PARTITIONS / 2]);
    const { leases, share } = await store.renewLeases(NODE, LEASE_MS, false);
    assert.equal([leases.length, share], [PARTITIONS, PARTITIONS / 2]);
    const surplus = leases.slice(share).map(({ partition }) => partition);
    await store.releaseLeases(NODE, surplus);
    const other = await store.renewLeases('node-b', LEASE_MS, false);
    assert.equal(
      other.leases.map(({ partition }) => partition),
      surplus,
    );
    await store.releaseLeases('node-b', surplus);
    await store.removeNode('node-b');
    assert.is((await store.renewLeases(NODE, LEASE_MS, false)).leases.length, PARTITIONS);
  });

  promise(
    'a node that is drained has no share, also after a crash, until it is resumed or ends',
    async (given) => {
      const { store, drain } = given;
      await store.renewLeases('node-b', LEASE_MS, false);
      await drain(NODE, true);
      const { leases, share } = await store.renewLeases(NODE, LEASE_MS, false);
      assert.equal([leases.length, share], [PARTITIONS, 0]);
      const partitions = leases.map(({ partition }) => partition);
      await store.releaseLeases(NODE, partitions);
      assert.equal(await store.renewLeases(NODE, LEASE_MS, true), {
        ...{ leases: [], share: 0, freeInMs: Number.POSITIVE_INFINITY },
      });
      assert.is((await store.renewLeases('node-b', LEASE_MS, false)).leases.length, PARTITIONS);

      await drain(NODE, false);
      assert.is((await store.renewLeases(NODE, LEASE_MS, false)).share, PARTITIONS / 2);
      await drain(NODE, true);
      await store.removeNode(NODE);
      assert.is((await store.renewLeases(NODE, LEASE_MS, true)).share, PARTITIONS / 2);
    },
  );

  promise('a lease from before the clock was set back keeps nobody out', async (given) => {
    const { store, actor, epoch, setClock } = given;
    await setClock(-3_600_000);
    const { leases, share } = await store.renewLeases('node-b', LEASE_MS, false);
    assert.equal([leases.length, share], [PARTITIONS, PARTITIONS]);
    assert.ok((leases.find(({ partition }) => partition === actor.partition)?.epoch ?? 0) > epoch);
  });

  promise('a holder that lives renews its leases after the clock was set back', async (given) => {
    const { store, actor, epoch, setClock } = given;
    await setClock(-3_600_000);
    assert.is(await epochOf(store, NODE, actor.partition), epoch);
    assert.equal((await store.renewLeases('node-b', LEASE_MS, false)).leases, []);
  });

  promise('leases that end because the clock was set forward are held under new epochs', async (given) => {
    const { store, actor, epoch, commit, first, setClock } = given;
    await setClock(3_600_000);
    assert.ok((await epochOf(store, NODE, actor.partition)) > epoch);
    assert.equal(await store.commit(commit(actor, message(first), outcome())), { result: 'fenced' });
  });

  promise('nobody gives back what is another’s', async ({ store, actor, epoch }) => {
    await store.releaseLeases('node-b', [actor.partition]);
    assert.is(await epochOf(store, NODE, actor.partition), epoch);
  });
}

/** One load balancer's actor in a store whose partitions are all this node's. */
async function given(harness: StoreHarness) {
  const { store } = harness;
  /** The message as it is stored: that it says who is born is for those who carry it. */
  const spawn = async (newcomer: ActorAddress, input: object): Promise<Envelope> => {
    const { born, ...envelope } = await harness.spawn(newcomer, input);
    const loaded = await store.load(newcomer);
    const expected = newborn({ address: newcomer, input: born as object }, envelope.partition);
    assert.equal({ ...loaded, ...expected }, loaded);
    return envelope;
  };
  const id = randomUUID();
  const address = { kind: 'load-balancer', id, loadBalancerId: id } as const;
  /** Its first message. */
  const first = await spawn(address, { answer: 42 });
  const { leases } = await store.renewLeases(NODE, LEASE_MS, false);
  const epochs = new Map(leases.map((lease) => [lease.partition, lease.epoch]));
  const epoch = epochs.get(partitionOf(id)) ?? -1;
  const load = async () => (await store.load(address)) as ActorRow;
  const commit = (actor: ActorRow, cause: Cause, outcome: Outcome): Commit => ({
    ...{ actor, cause, outcome, epoch },
    event: { type: 'TEST' },
    node: NODE,
    followers: [],
  });
  const take = (actor: ActorRow, envelope: Envelope, changes: Partial<Outcome> = {}): Promise<CommitResult> =>
    store.commit(commit(actor, message(envelope), outcome(changes)));
  /** `actor` is the actor as it was born. */
  return { ...harness, spawn, address, first, epoch, epochs, load, commit, take, actor: await load() };
}

type Given = Awaited<ReturnType<typeof given>>;

async function epochOf(store: ActorStore, node: string, partition: number): Promise<number> {
  const { leases } = await store.renewLeases(node, LEASE_MS, false);
  return leases.find((lease) => lease.partition === partition)?.epoch ?? -1;
}

function inputOf({ id, loadBalancerId }: ActorAddress) {
  return { amphoraId: id, loadBalancerId, role: 'STANDALONE' as const, round: 0 };
}

function message({ id, seq }: Envelope): Cause {
  return { from: 'message', messageId: id, seq };
}

/** What a transition that does nothing else would do. */
function outcome(changes: Partial<Outcome> = {}): Outcome {
  return {
    snapshot: {},
    state: 'resting',
    previousState: '',
    handled: true,
    done: false,
    effects: {},
    startedEffects: [],
    stoppedEffects: [],
    armedTimers: [],
    disarmedTimers: [],
    messages: [],
    spawned: [],
    rowChanges: [],
    ...changes,
  };
}
