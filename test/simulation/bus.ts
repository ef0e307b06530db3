import type { Bus, Envelope, Reply } from '../../src/actors/bus.ts';
import { inboxAt } from '../../src/actors/inbox.ts';
import type { Faults } from './faults.ts';
import type { Random } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { VirtualTime } from './virtual-time.ts';

interface Subscription {
  process: SimulatedProcess;
  receive: (envelope: Envelope) => void;
}

/** Carries envelopes between processes; may lose, double, delay and reorder them, as the faults say. */
export class SimulatedBus {
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #faults: Readonly<Faults>;
  readonly #subscriptions = new Map<number, Set<Subscription>>();
  readonly #inboxes = new Map<string, (reply: Reply) => void>();

  constructor(time: VirtualTime, random: Random, faults: Readonly<Faults>) {
    this.#time = time;
    this.#random = random;
    this.#faults = faults;
  }

  /** The bus as one process sees it. */
  connect(process: SimulatedProcess): Bus {
    const mine = new Set<() => void>();
    let closed = false;
    return {
      publish: (envelopes) => {
        if (!closed) for (const envelope of envelopes) this.#carry(JSON.stringify(envelope));
      },
      subscribe: (partition, receive) => {
        const subscription = { process, receive };
        const all = this.#subscriptions.get(partition) ?? new Set();
        this.#subscriptions.set(partition, all.add(subscription));
        const unsubscribe = () => {
          all.delete(subscription);
          mine.delete(unsubscribe);
        };
        mine.add(unsubscribe);
        return unsubscribe;
      },
      openInbox: () => {
        const address = `inbox-${this.#random.uuid()}`;
        return inboxAt(address, process.clock, (receive) => {
          this.#inboxes.set(address, (reply) => process.run(() => receive(reply)));
          return () => this.#inboxes.delete(address);
        });
      },
      reply: (address, reply) => {
        if (closed || this.#random.chance(this.#faults.messageLost)) return;
        const delayMs = this.#random.between(0, this.#faults.messageDelayMs);
        this.#time.after(delayMs, () => this.#inboxes.get(address)?.(reply));
      },
      close: async () => {
        closed = true;
        for (const unsubscribe of mine) unsubscribe();
      },
    };
  }

  #carry(text: string): void {
    const { partition } = JSON.parse(text) as Envelope;
    const { messageLost, messageDuplicated, messageDelayMs } = this.#faults;
    const all = this.#subscriptions.get(partition) ?? new Set();
    for (const subscription of all) {
      const copies = this.#random.chance(messageLost) ? 0 : this.#random.chance(messageDuplicated) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        this.#time.after(this.#random.between(0, messageDelayMs), () =>
          subscription.process.run(() => {
            if (all.has(subscription)) subscription.receive(JSON.parse(text) as Envelope);
          }),
        );
      }
    }
  }
}
