import { parentPort, workerData } from 'node:worker_threads';
import { simulate } from './simulation.ts';

/** Seeds for a thread of its own; it says which of them failed, and why. */
export interface Batch {
  from: number;
  count: number;
}
export interface Failure {
  seed: number;
  violations: string[];
}

// Errors are what a simulation makes most of; nobody reads where they came from.
Error.stackTraceLimit = 0;
const { from, count } = workerData as Batch;
for (let seed = from; seed < from + count; seed += 1) {
  const violations = await simulate({ seed });
  if (violations.length > 0) parentPort?.postMessage({ seed, violations } satisfies Failure);
}
