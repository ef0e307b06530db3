import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

/** At rest is who uses less than this share of the time between two looks. */
const REST = 0.1;

/** Collecting costs a tenth of a second of CPU, which so much memory is worth. */
const WORTH_BYTES = 16 * 2 ** 20;

export interface HeapOptions {
  /** Time between two looks. */
  lookMs?: number;
  /** Collects all garbage; missing without `--expose-gc`, and then nothing happens. */
  collect?: (() => void) | undefined;
}

/**
 * Give memory back whenever this process has come to rest, with its start or with much work: V8 by itself collects old
 * garbage when it needs room, and then keeps the room. Does not keep the process alive.
 */
export function shrinkHeapAtRest({ lookMs = 2_000, collect = collectAll }: HeapOptions = {}): void {
  let worthAbove = 0;
  let last = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    if (utilization > REST || heapBytes() < worthAbove) return;
    collect?.();
    worthAbove = heapBytes() + WORTH_BYTES;
  }, lookMs).unref();
}

const collectAll = globalThis.gc && (() => globalThis.gc?.({ type: 'major', flavor: 'last-resort' }));

function heapBytes(): number {
  return getHeapStatistics().total_physical_size;
}
