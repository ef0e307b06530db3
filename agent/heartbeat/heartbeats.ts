import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import {
  HEARTBEAT_VERSION,
  type Heartbeat,
  LARGEST_DATAGRAM,
  sealHeartbeat,
} from '../../src/amphora-api/heartbeat.ts';
import type { AgentSettings } from '../settings.ts';

export type HeartbeatSettings = NonNullable<AgentSettings['heartbeat']>;

/** What the amphora does at this moment; undefined when it does not do its work, and the silence shall say so. */
export type Observe = () => Promise<Pick<Heartbeat, 'listeners' | 'pools' | 'vrrp_state'> | undefined>;

interface HeartbeatParts {
  amphoraId: string;
  /** How often the agent was started. */
  start: number;
  observe: Observe;
  log: Logger;
}

/**
 * Sends a heartbeat at once and every few seconds from then on, to one controller after the other: any of them tells the
 * rest, and the next one hears what this one missed.
 */
export class Heartbeats {
  readonly #parts: HeartbeatParts;
  #settings: HeartbeatSettings | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #sequence = 0;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** Send by these settings from now on; not at all without. */
  configure(settings: HeartbeatSettings | undefined): void {
    clearInterval(this.#timer);
    this.#settings = settings;
    if (!settings) return;
    this.#timer = setInterval(() => this.#beat(), settings.interval_seconds * 1_000);
    this.#timer.unref();
    this.#beat();
  }

  /** Send no more; resolves when the one that is on its way has left. */
  async close(): Promise<void> {
    this.configure(undefined);
    await this.#sending;
  }

  #beat(): void {
    this.#sending = this.#sending
      .then(() => this.#send())
      .catch((err) => this.#parts.log.warn({ err }, 'no heartbeat was sent'));
  }

  async #send(): Promise<void> {
    const settings = this.#settings;
    if (!settings) return;
    const { amphoraId, start, observe } = this.#parts;
    const observed = await observe();
    if (!observed) return;
    const seq = this.#sequence++;
    const heartbeat: Heartbeat = { id: amphoraId, seq, start, ver: HEARTBEAT_VERSION, ...observed };
    const sealed = sealHeartbeat(heartbeat, settings.key);
    const fits = sealed.length <= LARGEST_DATAGRAM;
    const { pools, ...rest } = heartbeat;
    const controller = settings.controllers[seq % settings.controllers.length];
    if (controller) await sendTo(controller, fits ? sealed : sealHeartbeat(rest, settings.key));
  }
}

/**
 * One datagram from a port of its own: several controllers that share an address are chosen between by the sender's port,
 * and none of them shall have all heartbeats of an amphora.
 */
async function sendTo(controller: string, datagram: Buffer): Promise<void> {
  const { host, port } = parseController(controller);
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.send(datagram, port, host, (error) => (error ? reject(error) : resolve()));
    });
  } finally {
    socket.close();
  }
}

/** `203.0.113.1:5555`, `[2001:db8::1]:5555`, and Octavia's spelling of that without brackets. */
function parseController(controller: string): { host: string; port: number } {
  const colon = controller.lastIndexOf(':');
  return {
    host: controller.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    port: Number(controller.slice(colon + 1)),
  };
}
