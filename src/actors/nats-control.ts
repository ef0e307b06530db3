import { type NatsConnection, RequestStrategy } from 'nats';
import type { Logger } from 'pino';
import { type Control, type Controlled, NodeReport } from './control.ts';
import { contentOf } from './nats-tracer.ts';

/** A request; every node answers with a `NodeReport`. */
const PING = 'amphorae.control.ping';
/** Without content: every node looks at its leases. */
const LEASES = 'amphorae.control.leases';

/** Nodes have the answer in memory. */
const PING_MS = 1_000;

/** Control of nodes as core NATS subjects. */
export class NatsControl implements Control {
  readonly #nats: NatsConnection;
  readonly #self: Pick<NodeReport, 'node' | 'version' | 'since'>;
  readonly #log: Logger;

  constructor(nats: NatsConnection, self: Pick<NodeReport, 'node' | 'version'>, log: Logger) {
    this.#nats = nats;
    this.#self = { ...self, since: new Date().toISOString() };
    this.#log = log;
  }

  attend(node: Controlled): void {
    this.#nats.subscribe(PING, {
      callback: (error, message) => {
        if (error) return;
        const report: NodeReport = { ...this.#self, ...node.load() };
        message.respond(JSON.stringify(report));
      },
    });
    this.#nats.subscribe(LEASES, {
      callback: (error) => {
        if (!error) node.lookAtLeases();
      },
    });
  }

  leasesChanged(): void {
    try {
      this.#nats.publish(LEASES);
    } catch (error) {
      this.#log.debug({ err: error }, 'nodes find out with their next renewal: NATS is not reachable');
    }
  }

  async ping(expected: number): Promise<NodeReport[]> {
    const reports: NodeReport[] = [];
    try {
      const answers = await this.#nats.requestMany(PING, undefined, {
        strategy: RequestStrategy.Count,
        maxMessages: expected,
        maxWait: PING_MS,
        noMux: true,
      });
      for await (const answer of answers) {
        const { data } = NodeReport.safeParse(contentOf(answer));
        if (data) reports.push(data);
      }
    } catch (error) {
      this.#log.debug({ err: error }, 'no more nodes answer a ping');
    }
    return reports;
  }
}
