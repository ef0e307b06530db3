import type { NatsConnection, Subscription } from 'nats';
import type { Logger } from 'pino';
import { askProgress, contentOf } from '../../actors/nats-tracer.ts';
import type { ActorId } from '../../actors/store.ts';
import { ALL_TRACES, type EffectsProgress, Trace } from '../../actors/trace.ts';
import { eventBlock } from '../event-streams.ts';

/** What a page that is being watched hears. */
export interface Watcher {
  /** Something was said about an actor. */
  traced(trace: Exclude<Trace, { type: 'gap' }>): unknown;
  /** Traces may have been missed: read again whatever is shown. */
  missed(): void;
  /** The broker went away, or is back (`missed` follows); see `Live.up`. */
  bus(): void;
}

/** Streams of pages say at least a comment within this time, so that nobody on the way takes them for dead. */
export const HEARTBEAT_MS = 15_000;
export const HEARTBEAT = ':\n\n';

/** A page whose stream has ended comes again after half a second. */
export const RETRY = 'retry: 500\n\n';

export const busBlock = ({ up }: Live) => eventBlock('bus', { up });

/** A node that starts takes many partitions over; that is one reason to read again. */
const GATHER_MS = 50;

/** How long the broker may take to say that it is there. */
const BROKER_MS = 3_000;
/** How often it is asked while anybody watches: a broker that hangs closes no connection. */
const CHECK_MS = 10_000;

/**
 * Traces of all nodes for the pages of this process: one subscription, which exists while somebody watches. A trace only
 * says that there is something new; who hears it reads the rows. Whenever traces may have been lost that is said, too.
 * So a watcher that reads the rows after `watch` has resolved, and whenever it hears something, misses nothing, and
 * nobody has to look again and again.
 */
export class Live {
  readonly #nats: NatsConnection;
  readonly #log: Logger;
  readonly #watchers = new Set<Watcher>();
  #subscription: Subscription | undefined;
  #check: NodeJS.Timeout | undefined;
  #up = true;
  #gathering = false;

  constructor(nats: NatsConnection, log: Logger) {
    this.#nats = nats;
    this.#log = log;
    void this.#followConnection();
  }

  /** Whether the broker is there, as far as is known. */
  get up(): boolean {
    return this.#up;
  }

  /** Begin to hear; resolves when no later trace is missed, or the broker is known to be away. The function that it gives ends that. */
  async watch(watcher: Watcher): Promise<() => void> {
    this.#watchers.add(watcher);
    if (this.#subscription === undefined) {
      this.#subscription = this.#nats.subscribe(ALL_TRACES, {
        callback: (error, message) => {
          if (error === null) this.#hear(Trace.safeParse(contentOf(message)).data);
        },
      });
      this.#check = setInterval(() => void this.#ask(), CHECK_MS).unref();
    }
    await this.#ask();
    return () => this.#leave(watcher);
  }

  /** How far the effects of an actor have come, from the node that runs them; undefined when nobody says so. */
  async progress(actor: ActorId & { partition: number }): Promise<EffectsProgress | undefined> {
    return this.#up ? askProgress(this.#nats, actor) : undefined;
  }

  #leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    clearInterval(this.#check);
    if (!this.#nats.isClosed()) this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  #hear(trace: Trace | undefined): void {
    if (trace === undefined) return;
    if (trace.type === 'gap') this.#missed();
    else for (const watcher of this.#watchers) watcher.traced(trace);
  }

  #missed(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(() => {
      this.#gathering = false;
      for (const watcher of this.#watchers) watcher.missed();
    }, GATHER_MS).unref();
  }

  /** Its answer comes after everything that we told it, and after what it had to tell us. */
  async #ask(): Promise<void> {
    const patience = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => patience.resolve(false), BROKER_MS);
    const answered = this.#nats.flush().then(
      () => true,
      () => false,
    );
    this.#turn(await Promise.race([answered, patience.promise]));
    clearTimeout(timer);
  }

  #turn(up: boolean): void {
    if (this.#up === up) return;
    this.#up = up;
    this.#log.debug({ up }, 'pages are told about the broker');
    for (const watcher of this.#watchers) watcher.bus();
    if (up) this.#missed();
  }

  async #followConnection(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (type === 'disconnect') this.#turn(false);
      if (type === 'reconnect') await this.#ask();
    }
  }
}
