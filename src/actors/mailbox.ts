import { randomUUID } from 'node:crypto';
import { type ActorAddress, partitionOf } from '../machines/address.ts';
import { machineVersions } from '../machines/registry.ts';
import { AmphoraeError } from '../model/errors.ts';
import type { Queryable } from '../store/database.ts';
import type { Bus, Envelope, Reply } from './bus.ts';
import { NO_REPLY } from './inbox.ts';
import type { ActorEvent } from './interpreter.ts';
import { XSTATE_VERSION } from './versions.ts';

/** First event of every actor: processing it takes the initial transition of its machine. */
export const START = { type: 'amphorae.start' } as const;

/** Brings an actor's effects back, as a node does that takes its partition over. Charts never see it. */
export const RESUME = { type: 'amphorae.resume' } as const;

/**
 * The way into the actor system for code outside it. A message becomes a row in the caller's own transaction, so it is
 * sent exactly when that commits; `publish` afterwards only makes it fast.
 */
export class Mailbox {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Create an actor. `input` is stored with it. */
  async spawn(transaction: Queryable, address: ActorAddress, input: object): Promise<Envelope> {
    const born = transaction.with('born', (db) =>
      db
        .insertInto('actors')
        .values({
          kind: address.kind,
          id: address.id,
          partition: partitionOf(address.loadBalancerId),
          machine_version: machineVersions[address.kind],
          xstate_version: XSTATE_VERSION,
          input: JSON.stringify(input),
        })
        .returning('id'),
    );
    return { ...(await this.send(born, address, START)), born: input };
  }

  /**
   * Put a message into an actor's mailbox.
   * @param transaction with what else is to be done in the same statement, if anything: `transaction.with(...)`
   * @param replyTo where to say what became of it (see `ask`)
   */
  async send(
    transaction: Pick<Queryable, 'insertInto'>,
    address: ActorAddress,
    event: ActorEvent,
    replyTo?: string,
  ): Promise<Envelope> {
    const id = randomUUID();
    const partition = partitionOf(address.loadBalancerId);
    const { seq } = await transaction
      .insertInto('messages')
      .values({
        ...{ id, partition, actor_kind: address.kind, actor_id: address.id },
        event: JSON.stringify(event),
        reply_to: replyTo ?? null,
      })
      .returning('seq')
      .executeTakeFirstOrThrow();
    const envelope = { id, seq, partition, kind: address.kind, actorId: address.id, event };
    return replyTo === undefined ? envelope : { ...envelope, replyTo };
  }

  /**
   * Send a message and wait for what becomes of it. It is as durable as any other; the reply is not, so that no reply in time
   * means only that nothing is known yet.
   * @param send stores the message in a transaction, commits, and resolves with what was stored.
   * @returns the reply; undefined when there was none within `deadlineMs`
   */
  async ask(
    send: (replyTo: string) => Promise<Envelope>,
    deadlineMs: number,
  ): Promise<{ envelope: Envelope; reply: Reply | undefined }> {
    const inbox = this.#bus.openInbox();
    try {
      const envelope = await send(inbox.address);
      this.publish(envelope);
      const reply = await inbox.reply(deadlineMs).catch((error) => {
        if (error instanceof AmphoraeError && error.code === NO_REPLY) return undefined;
        throw error;
      });
      return { envelope, reply };
    } finally {
      inbox.close();
    }
  }

  /** Call after the commit of the transaction that the envelopes were made in. */
  publish(...envelopes: Envelope[]): void {
    this.#bus.publish(envelopes);
  }
}
