import { randomUUID } from 'node:crypto';
import { type ActorAddress, partitionOf } from '../machines/address.ts';
import { machineVersions } from '../machines/registry.ts';
import type { Queryable } from '../store/database.ts';
import type { Bus, Envelope } from './bus.ts';
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
    await transaction
      .insertInto('actors')
      .values({
        kind: address.kind,
        id: address.id,
        partition: partitionOf(address.loadBalancerId),
        machine_version: machineVersions[address.kind],
        xstate_version: XSTATE_VERSION,
        input: JSON.stringify(input),
      })
      .execute();
    return this.send(transaction, address, START);
  }

  /** Put a message into an actor's mailbox. */
  async send(transaction: Queryable, address: ActorAddress, event: ActorEvent): Promise<Envelope> {
    const id = randomUUID();
    const partition = partitionOf(address.loadBalancerId);
    const { seq } = await transaction
      .insertInto('messages')
      .values({ id, partition, actor_kind: address.kind, actor_id: address.id, event: JSON.stringify(event) })
      .returning('seq')
      .executeTakeFirstOrThrow();
    return { id, seq, partition, kind: address.kind, actorId: address.id, event };
  }

  /** Call after the commit of the transaction that the envelopes were made in. */
  publish(...envelopes: Envelope[]): void {
    this.#bus.publish(envelopes);
  }
}
