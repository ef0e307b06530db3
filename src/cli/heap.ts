import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';

/** At rest is who uses less than this share of the time between two looks. */
const REST = 0.1;

/** Collecting takes a tenth of a second, which so much memory is worth. */
const WORTH_BYTES = 16 * 2 ** 20;

export interface HeapOptions {
  /** Time between two looks. */
  lookMs?: number;
  /** Collects all garbage; missing without `--expose-gc`, and then nothing happens. */
  collect?: (() => void) | undefined;
}

const { gc } = globalThis;
const collectAll = gc && (() => gc({ type: 'major', flavor: 'last-resort' }));

/**
 * Give memory back: now, with the garbage of the start, and whenever this process has come to rest after much work. V8
 * by itself collects old garbage when it needs room, and then keeps the room. Does not keep the process alive.
 */
export function shrinkHeap({ lookMs = 1_000, collect = collectAll }: HeapOptions = {}): void {
  if (!collect) return;
  collect();
  let worthAbove = heapBytes() + WORTH_BYTES;
  let last = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    if (utilization > REST || heapBytes() < worthAbove) return;
    collect();
    worthAbove = heapBytes() + WORTH_BYTES;
  }, lookMs).unref();
}

/** Without young objects: a little work is enough to fill their space. */
function heapBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => space_name !== 'new_space')
    .reduce((sum, { physical_space_size }) => sum + physical_space_size, 0);
}
