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

const Question = z.object({
  kind: ActorKindName,
  id: z.uuid(),
  partition: z.int(),
});

/** Traces as core NATS subjects (`traceSubject`), from this node. */
export class NatsTracer implements Tracer {
  readonly #nats: NatsConnection;
  readonly #node: string;
  readonly #log: Logger;
  #connected = true;

  constructor(nats: NatsConnection, node: string, log: Logger) {
    this.#nats = nats;
    this.#node = node;
    this.#log = log;
    void this.#followConnection();
  }

  publish(trace: TraceBody): void {
    if (!this.#connected) return;
    try {
      const said: Trace = { ...trace, at: new Date().toISOString(), node: this.#node };
      this.#nats.publish(traceSubject(trace), JSON.stringify(said));
    } catch (error) {
      this.#log.debug({ err: error }, 'a trace was lost: NATS is not reachable');
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
