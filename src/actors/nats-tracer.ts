import type { Msg, NatsConnection } from 'nats';
import type { Logger } from 'pino';
import * as z from 'zod';
import type { ActorId } from './store.ts';
import {
  ActorKindName,
  EffectsProgress,
  type Trace,
  type TraceBody,
  type Tracer,
  traceSubject,
} from './trace.ts';

const PROGRESS = 'amphorae.progress';

/** Who is asked has the answer in memory; nobody else answers. */
const PROGRESS_MS = 300;

/** A step of a load balancer leads to several traces, each of which would be a write of its own while the next step waits. */
const GATHER_MS = 10;

const Question = z.object({
  kind: ActorKindName,
  id: z.uuid(),
  partition: z.int(),
});

/**
 * Traces as core NATS subjects (`traceSubject`), from this node: those of `GATHER_MS` together. What has not been said when
 * the process ends is lost; the partition's next owner tells watchers that there is a gap.
 */
export class NatsTracer implements Tracer {
  readonly #nats: NatsConnection;
  readonly #node: string;
  readonly #log: Logger;
  #connected = true;
  #gathered: Trace[] = [];

  constructor(nats: NatsConnection, node: string, log: Logger) {
    this.#nats = nats;
    this.#node = node;
    this.#log = log;
    void this.#followConnection();
  }

  publish(trace: TraceBody): void {
    if (!this.#connected) return;
    if (this.#gathered.length === 0) setTimeout(() => this.#say(), GATHER_MS).unref();
    this.#gathered.push({ ...trace, at: new Date().toISOString(), node: this.#node });
  }

  #say(): void {
    const traces = this.#gathered;
    this.#gathered = [];
    if (!this.#connected) return;
    try {
      for (const trace of traces) this.#nats.publish(traceSubject(trace), JSON.stringify(trace));
    } catch (error) {
      this.#log.debug({ err: error }, 'traces were lost: NATS is not reachable');
    }
  }

  answer(progress: (actor: ActorId, partition: number) => EffectsProgress | undefined): void {
    this.#nats.subscribe(PROGRESS, {
      callback: (error, message) => {
        const question = error ? undefined : Question.safeParse(contentOf(message)).data;
        const answer = question && progress(question, question.partition);
        if (answer !== undefined) message.respond(JSON.stringify(answer));
      },
    });
  }

  /** Whoever watches has missed what was to be said while there was no connection. */
  async #followConnection(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (type === 'disconnect') this.#connected = false;
      if (type !== 'reconnect') continue;
      this.#connected = true;
      this.publish({ type: 'gap' });
    }
  }
}

/** Ask the node that runs an actor how far its effects have come; undefined when nobody says so in time. */
export async function askProgress(
  nats: NatsConnection,
  actor: ActorId & { partition: number },
): Promise<EffectsProgress | undefined> {
  const { kind, id, partition } = actor;
  try {
    const question = JSON.stringify({ kind, id, partition });
    const answer = await nats.request(PROGRESS, question, { timeout: PROGRESS_MS });
    return EffectsProgress.safeParse(contentOf(answer)).data;
  } catch {
    return undefined;
  }
}

/** What a message says, as JSON; undefined for what is none. */
export function contentOf(message: Msg): unknown {
  try {
    return message.json();
  } catch {
    return undefined;
  }
}
