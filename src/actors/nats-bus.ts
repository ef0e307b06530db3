import { type NatsConnection, StringCodec, type Subscription } from 'nats';
import type { Logger } from 'pino';
import type { Bus, Envelope } from './bus.ts';

const codec = StringCodec();

/** Mailboxes as core NATS subjects, `amphorae.mailbox.<partition>`. */
export class NatsBus implements Bus {
  readonly #connection: NatsConnection;
  readonly #log: Logger;

  constructor(connection: NatsConnection, log: Logger) {
    this.#connection = connection;
    this.#log = log;
  }

  publish(envelopes: Envelope[]): void {
    for (const envelope of envelopes) {
      try {
        this.#connection.publish(subject(envelope.partition), codec.encode(JSON.stringify(envelope)));
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
    return () => subscription.unsubscribe();
  }

  async close(): Promise<void> {
    if (!this.#connection.isClosed()) await this.#connection.close();
  }
}

const subject = (partition: number) => `amphorae.mailbox.${partition}`;
