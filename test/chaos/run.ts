import { parseArgs } from 'node:util';
import { chaos } from './chaos.ts';

// npm run chaos -- --seconds 120 --seed 7 [--provider noop|netns] [--balancers 200] [--users 8]

const { values } = parseArgs({
  options: {
    provider: { type: 'string', default: 'noop' },
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    balancers: { type: 'string' },
    users: { type: 'string', default: '8' },
  },
});
const provider = values.provider === 'netns' ? 'netns' : 'noop';
const seed = Number(values.seed);
process.stderr.write(`seed ${seed}\n`);
const verdict = await chaos({
  provider,
  seed,
  seconds: Number(values.seconds),
  balancers: Number(values.balancers ?? (provider === 'noop' ? 200 : 6)),
  users: Number(values.users),
  say: (text) => void process.stderr.write(`${text}\n`),
});
process.stdout.write(`${JSON.stringify({ provider, seed, ...verdict }, null, 2)}\n`);
process.exitCode = verdict.problems.length === 0 ? 0 : 1;
