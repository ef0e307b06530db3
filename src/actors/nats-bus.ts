import { createInbox, type NatsConnection, StringCodec, type Subscription } from 'nats';
import type { Logger } from 'pino';
import type { Bus, Envelope, Inbox, Reply } from './bus.ts';
import { systemClock } from './clock.ts';
import { inboxAt } from './inbox.ts';

const codec = StringCodec();

/**
 * Mailboxes as core NATS subjects, `amphorae.mailbox.<partition>`; inboxes as NATS has them. What is published for a
 * partition that this process itself receives for does not travel. If it has just lost the partition, the sweep of the new
 * owner finds the message.
 */
export class NatsBus implements Bus {
  readonly #connection: NatsConnection;
  readonly #log: Logger;
  readonly #here = new Map<number, (envelope: Envelope) => void>();

  constructor(connection: NatsConnection, log: Logger) {
    this.#connection = connection;
    this.#log = log;
  }

  publish(envelopes: Envelope[]): void {
    for (const envelope of envelopes) {
      const text = JSON.stringify(envelope);
      const receive = this.#here.get(envelope.partition);
      if (receive !== undefined) {
        queueMicrotask(() => receive(JSON.parse(text) as Envelope));
        continue;
      }
      try {
        this.#connection.publish(subject(envelope.partition), codec.encode(text));
      } catch (error) {
        // The row is there; the sweep of its owner takes it.
        this.#log.debug(
          { err: error, message: envelope.id },
          'message left to the sweep: NATS is not reachable',
        );
      }
    }
  }

  subscribe(partition: number, receive: (envelope: Envelope) => void): () => void {
    const subscription: Subscription = this.#connection.subscribe(subject(partition), {
      callback: (error, message) => {
        if (error) return this.#log.warn({ err: error, partition }, 'subscription failed');
        receive(JSON.parse(codec.decode(message.data)) as Envelope);
      },
    });
    this.#here.set(partition, receive);
    return () => {
      subscription.unsubscribe();
      this.#here.delete(partition);
    };
  }

  openInbox(): Inbox {
    const address = createInbox();
    return inboxAt(address, systemClock, (receive) => {
      const subscription = this.#connection.subscribe(address, {
        max: 1,
        callback: (error, message) => {
          if (!error) receive(JSON.parse(codec.decode(message.data)) as Reply);
        },
      });
      return () => subscription.unsubscribe();
    });
  }

  reply(address: string, reply: Reply): void {
    try {
      this.#connection.publish(address, codec.encode(JSON.stringify(reply)));
    } catch (error) {
      this.#log.debug({ err: error }, 'a reply was lost: NATS is not reachable');
    }
  }

  async close(): Promise<void> {
    if (!this.#connection.isClosed()) await this.#connection.close();
  }
}

const subject = (partition: number) => `amphorae.mailbox.${partition}`;
