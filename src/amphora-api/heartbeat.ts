import { createHmac, timingSafeEqual } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import * as z from 'zod';
import { VrrpState } from './info.ts';

/** Default port of the controllers for heartbeats (contract C7). */
export const HEARTBEAT_PORT = 5555;

/** Format of the message: counters are what was added since the last heartbeat (contract C7). */
export const HEARTBEAT_VERSION = 3;

/** What one UDP datagram over IPv6 can carry, and over IPv4 a little more. */
export const LARGEST_DATAGRAM = 65_487;

/** Compressed fifteenfold, as ids and words of a large load balancer are at most. */
const LARGEST_MESSAGE = 1024 * 1024;

/** Hexadecimal digits of an HMAC-SHA256 behind the compressed message; other senders append its 32 bytes as they are. */
const DIGITS = 64;
const BYTES = 32;

const Counter = z.int().min(0);

/** Bytes, connections and errors of a listener. `conns` is a number of this moment, the others count what was added. */
export const ListenerCounters = z.object({
  tx: Counter,
  rx: Counter,
  conns: Counter,
  totconns: Counter,
  ereq: Counter,
});
export type ListenerCounters = z.infer<typeof ListenerCounters>;

const Word = z.string().max(64);

/** The message that an amphora sends every few seconds (contract C7). Fields that it does not name are ignored. */
export const Heartbeat = z.object({
  id: z.uuid(),
  seq: Counter,
  ver: z.int().min(HEARTBEAT_VERSION),
  listeners: z.record(z.uuid(), z.object({ status: Word, stats: ListenerCounters })),
  /** By `<pool>:<listener>`, or `<pool>` of an LVS listener. Absent when they did not fit: nothing is known of them. */
  pools: z
    .record(z.string().max(80), z.object({ status: Word, members: z.record(z.uuid(), Word) }))
    .optional(),
  /**
   * How often the agent was started, in agents that count it: `seq` begins anew with each start, and together they only
   * grow. No message of such an agent is believed twice.
   */
  start: z
    .int()
    .positive()
    .max(2 ** 20)
    .optional(),
  /** Of an amphora in a pair, where the agent tells: both report, but traffic passes through one. */
  vrrp_state: VrrpState.optional(),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** The datagram: zlib-compressed JSON, followed by the HMAC-SHA256 of that in hexadecimal digits. */
export function sealHeartbeat(heartbeat: Heartbeat, key: string): Buffer {
  const message = deflateSync(JSON.stringify(heartbeat), { level: 9 });
  return Buffer.concat([message, Buffer.from(macOf(message, key).toString('hex'))]);
}

/**
 * Verify a datagram and read it. Nothing is looked at before its origin is sure.
 * @throws Error that says what is wrong with it
 */
export function openHeartbeat(datagram: Buffer, key: string): Heartbeat {
  const message = authentic(datagram, key);
  if (!message) throw new Error('its signature is not that of the heartbeat key');
  const text = inflateSync(message, { maxOutputLength: LARGEST_MESSAGE }).toString('utf8');
  const parsed = Heartbeat.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(`${issue?.path.join('.') || 'message'}: ${issue?.message}`);
}

function authentic(datagram: Buffer, key: string): Buffer | undefined {
  const attempts = [
    { length: DIGITS, mac: Buffer.from(datagram.toString('latin1', datagram.length - DIGITS), 'hex') },
    { length: BYTES, mac: datagram.subarray(-BYTES) },
  ];
  return attempts
    .filter(({ length, mac }) => datagram.length > length && mac.length === BYTES)
    .map(({ length, mac }) => ({ message: datagram.subarray(0, -length), mac }))
    .find(({ message, mac }) => timingSafeEqual(macOf(message, key), mac))?.message;
}

function macOf(message: Buffer, key: string): Buffer {
  return createHmac('sha256', key).update(message).digest();
}
