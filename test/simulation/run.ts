import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

/**
 * `--seed N` replays one seed with a trace of everything that happens; `--seeds N [--from N]` runs many and prints those
 * that fail.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
  },
});

/** So many seeds take half a minute. */
const PROGRESS = 1_000;

const write = (line: string) => void process.stdout.write(`${line}\n`);

if (values.seed !== undefined) {
  const violations = await simulate({ seed: Number(values.seed), trace: write });
  for (const violation of violations) write(`VIOLATED ${violation}`);
  process.exitCode = violations.length > 0 ? 1 : 0;
} else {
  // Errors are what a simulation makes most of; nobody reads where they came from.
  Error.stackTraceLimit = 0;
  const from = Number(values.from);
  const count = Number(values.seeds);
  let failed = 0;
  const progress = (done: number) => `${done} of ${count} seeds, ${failed} failed\n`;
  for (let seed = from; seed < from + count; seed += 1) {
    if (seed > from && (seed - from) % PROGRESS === 0) process.stderr.write(progress(seed - from));
    const violations = await simulate({ seed });
    if (violations.length === 0) continue;
    failed += 1;
    write(`seed ${seed}: ${violations.join('\n  ')}`);
  }
  write(`${count - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
