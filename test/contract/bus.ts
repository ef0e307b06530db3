import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus, Envelope, Reply } from '../../src/actors/bus.ts';
import type { AmphoraeError } from '../../src/model/errors.ts';

export interface BusHarness {
  /** The bus as one process sees it. */
  connect(): Promise<Bus>;
  /** Let all arrive that was published, and all take effect that was subscribed. */
  settle(): Promise<void>;
}

/** What the runtime relies on, whatever carries the messages, as long as nothing goes wrong. */
export function busContract(open: () => Promise<BusHarness>): void {
  test('an envelope reaches the subscriber of its partition as it is, from every process', async () => {
    const { connect, settle } = await open();
    const [sender, owner] = [await connect(), await connect()];
    const received = listen(owner, 3);
    await settle();
    const envelopes = [envelope(3, 'ü\u2028"'), envelope(3, 'again'), envelope(4, 'elsewhere')];
    sender.publish(envelopes);
    owner.publish([envelope(3, 'to myself')]);
    await settle();
    const texts = received.map(({ event }) => event.type).sort();
    assert.equal(texts, ['again', 'to myself', 'ü\u2028"']);
    assert.equal(
      received.find(({ id }) => id === envelopes[0]?.id),
      envelopes[0],
    );
    await Promise.all([sender.close(), owner.close()]);
  });

  test('every subscriber of a partition receives, until it has unsubscribed', async () => {
    const { connect, settle } = await open();
    const [sender, old, next] = [await connect(), await connect(), await connect()];
    const byOld: Envelope[] = [];
    const unsubscribe = old.subscribe(5, (received) => byOld.push(received));
    const byNext = listen(next, 5);
    await settle();
    sender.publish([envelope(5, 'both')]);
    await settle();
    unsubscribe();
    await settle();
    sender.publish([envelope(5, 'next only')]);
    await settle();
    assert.equal([byOld.length, byNext.length], [1, 2]);
    await Promise.all([sender, old, next].map((bus) => bus.close()));
  });

  test('what nobody subscribes to, or is published too late, is lost without a word', async () => {
    const { connect, settle } = await open();
    const [sender, owner] = [await connect(), await connect()];
    sender.publish([envelope(6, 'nobody')]);
    await settle();
    const received = listen(owner, 6);
    await settle();
    await sender.close();
    sender.publish([envelope(6, 'too late')]);
    await settle();
    assert.equal(received, []);
    await owner.close();
    await owner.close();
  });

  test('a reply reaches the inbox whose address it names, from every process, and the first one counts', async () => {
    const { connect, settle } = await open();
    const [asker, owner] = [await connect(), await connect()];
    const [inbox, other] = [asker.openInbox(), asker.openInbox()];
    await settle();
    owner.reply(inbox.address, reply('first'));
    await settle();
    owner.reply(inbox.address, reply('second'));
    asker.reply(other.address, reply('to myself'));
    await settle();
    assert.equal(await inbox.reply(1_000), reply('first'));
    assert.equal(await other.reply(1_000), reply('to myself'));
    inbox.close();
    other.close();
    await Promise.all([asker.close(), owner.close()]);
  });

  test('who waits for a reply that does not come is told so when the time is over', async () => {
    const { connect, settle } = await open();
    const asker = await connect();
    const inbox = asker.openInbox();
    const outcome = inbox.reply(50).then(
      () => 'a reply',
      (error: AmphoraeError) => [error.kind, error.code],
    );
    await settle();
    assert.equal(await outcome, ['transient', 'no_reply']);
    inbox.close();
    asker.reply(inbox.address, reply('too late'));
    await settle();
    await asker.close();
  });
}

function listen(bus: Bus, partition: number): Envelope[] {
  const received: Envelope[] = [];
  bus.subscribe(partition, (envelope) => received.push(envelope));
  return received;
}

function reply(toState: string): Reply {
  return { fromState: 'ACTIVE', toState, handled: true, error: null };
}

function envelope(partition: number, type: string): Envelope {
  return { id: randomUUID(), seq: 1, partition, kind: 'amphora', actorId: randomUUID(), event: { type } };
}
