import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { type Heartbeat, openHeartbeat } from '../amphora-api/heartbeat.ts';
import type { Db } from '../store/database.ts';
import { applyReports } from './apply-report.ts';
import { recordHeartbeats } from './record.ts';

export interface ReceiverParts {
  db: Db;
  key: string;
  /** Called when statuses have changed that subscribers want to hear of. */
  announce: () => void;
  /** Called with amphorae that say that they live, and that no load balancer has any more. */
  stray: (amphorae: string[]) => Promise<void>;
  log: Logger;
}

export interface ReceiverOptions {
  /** Address of this host on the management network. Several processes may share it. */
  address: string;
  /** 0: any that is free. */
  port: number;
  /** A heartbeat that has waited for this long says nothing any more. */
  intervalMs: number;
}

interface Received {
  heartbeat: Heartbeat;
  at: number;
}

/** Heartbeats of one statement. */
const BATCH = 200;
/** More than that wait only when the database is away; then the oldest are of least use. */
const MOST_WAITING = 10_000;
/** A burst of all amphorae at once fits. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** One line at most in this time about datagrams that were refused, whoever sends how many. */
const COMPLAINT_MS = 10_000;

/**
 * Hears the amphorae: verifies each datagram, and brings what they say to the rows, as many at once as have come
 * meanwhile. What cannot be recorded is dropped, since the next heartbeat says it better.
 */
export class HeartbeatReceiver {
  readonly #parts: ReceiverParts;
  readonly #options: ReceiverOptions;
  readonly #socket: Socket;
  #waiting: Received[] = [];
  #recording: Promise<void> | undefined;
  #refused = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;

  private constructor(parts: ReceiverParts, options: ReceiverOptions, socket: Socket) {
    this.#parts = parts;
    this.#options = options;
    this.#socket = socket;
    socket.on('message', (datagram, { address }) => this.#hear(datagram, address));
    socket.on('error', (err) => parts.log.error({ err }, 'heartbeats cannot be received'));
  }

  /** Listen. @throws Error when the address cannot be bound */
  static async open(parts: ReceiverParts, options: ReceiverOptions): Promise<HeartbeatReceiver> {
    const socket = createSocket({ type: isIPv6(options.address) ? 'udp6' : 'udp4', reusePort: true });
    socket.bind(options.port, options.address);
    await once(socket, 'listening');
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    return new HeartbeatReceiver(parts, options, socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  async close(): Promise<void> {
    this.#socket.close();
    this.#waiting = [];
    await this.#recording;
  }

  #hear(datagram: Buffer, from: string): void {
    try {
      const heartbeat = openHeartbeat(datagram, this.#parts.key);
      this.#waiting.push({ heartbeat, at: performance.now() });
    } catch (error) {
      this.#refuse(from, (error as Error).message);
      return;
    }
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    this.#recording ??= this.#record().finally(() => {
      this.#recording = undefined;
    });
  }

  async #record(): Promise<void> {
    while (this.#waiting.length > 0) {
      const heartbeats = this.#takeBatch();
      try {
        await this.#recordBatch(heartbeats);
      } catch (err) {
        this.#parts.log.warn({ err, heartbeats: heartbeats.length }, 'heartbeats could not be recorded');
      }
    }
  }

  /** The oldest ones that are still worth it, at most one of each amphora. */
  #takeBatch(): Heartbeat[] {
    const fresh = performance.now() - this.#options.intervalMs;
    const batch = new Map<string, Heartbeat>();
    const left: Received[] = [];
    for (const received of this.#waiting) {
      const { heartbeat, at } = received;
      if (at < fresh) continue;
      if (batch.size === BATCH || batch.has(heartbeat.id)) left.push(received);
      else batch.set(heartbeat.id, heartbeat);
    }
    this.#waiting = left;
    return [...batch.values()];
  }

  async #recordBatch(heartbeats: readonly Heartbeat[]): Promise<void> {
    const { db, announce, stray, log } = this.#parts;
    const senders = await recordHeartbeats(db, heartbeats);
    const known = new Map(senders.map((sender) => [sender.amphora_id, sender]));
    const ignored = heartbeats.filter(({ id }) => !known.has(id)).map(({ id }) => id);
    if (ignored.length > 0) {
      log.info({ amphora_ids: ignored }, 'heartbeats of unknown amphorae, or heard before');
      await stray(ignored);
    }
    // Of a pair, the one that carries the traffic knows.
    const reports = heartbeats
      .filter(({ vrrp_state }) => vrrp_state === undefined || vrrp_state === 'MASTER')
      .flatMap((heartbeat) => {
        const sender = known.get(heartbeat.id);
        return sender && !sender.excluded ? [[sender.load_balancer_id, heartbeat] as const] : [];
      });
    if (await applyReports(db, new Map(reports))) announce();
  }

  #refuse(from: string, reason: string): void {
    this.#refused += 1;
    const now = performance.now();
    if (now - this.#complainedAt < COMPLAINT_MS) return;
    this.#complainedAt = now;
    this.#parts.log.warn({ from, reason, refused: this.#refused }, 'a heartbeat was refused');
    this.#refused = 0;
  }
}
