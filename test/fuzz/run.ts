import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
  },
});
process.stdout.write(`${values.requests} requests, seed ${values.seed}\n`);
const { statuses, failures } = await fuzz(Number(values.requests), Number(values.seed));
process.stdout.write(
  `${JSON.stringify(statuses)}\n${failures.map((each) => `${each}\n`).join('')}${failures.length} failures\n`,
);
process.exitCode = failures.length > 0 ? 1 : 0;
