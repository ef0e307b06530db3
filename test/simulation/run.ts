import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Batch, Failure } from './batch.ts';
import { simulate } from './simulation.ts';

/**
 * `--seed N` replays one seed with a trace of everything that happens; `--seeds N [--from N]` runs many, on all processors,
 * and prints those that fail.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
  },
});

/** So many take a quarter of a minute. A thread keeps something of each process that died in the middle of an effect. */
const BATCH = 500;

const write = (line: string) => void process.stdout.write(`${line}\n`);

if (values.seed !== undefined) {
  const violations = await simulate({ seed: Number(values.seed), trace: write });
  for (const violation of violations) write(`VIOLATED ${violation}`);
  process.exitCode = violations.length > 0 ? 1 : 0;
} else {
  const from = Number(values.from);
  const end = from + Number(values.seeds);
  let next = from;
  let done = 0;
  let failed = 0;
  const work = async () => {
    while (next < end) {
      const workerData: Batch = { from: next, count: Math.min(BATCH, end - next) };
      next += workerData.count;
      const worker = new Worker(new URL('./batch.ts', import.meta.url), { workerData });
      worker.on('message', ({ seed, violations }: Failure) => {
        failed += 1;
        write(`seed ${seed}: ${violations.join('\n  ')}`);
      });
      await once(worker, 'exit');
      done += workerData.count;
      process.stderr.write(`${done} of ${end - from} seeds, ${failed} failed\n`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  write(`${done - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
