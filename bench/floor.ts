import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { privatePostgres } from '../src/cli/up/supervisor.ts';
import type { Config } from '../src/config.ts';
import { openDatabase } from '../src/store/database.ts';
import { percentiles } from './statistics.ts';

export interface Floor {
  what: string;
  p50: number;
}

/** Commits that one load balancer takes on its way to ACTIVE: the request's, and one for each event of its two actors. */
const COMMITS = 13;

/** What the same number of bare commits takes in the same database, one after the other. */
export async function commitFloor(config: Config, rounds: number): Promise<Floor> {
  const { pool, close } = openDatabase(privatePostgres(config).url, {
    maxConnections: 1,
    applicationName: 'bench',
  });
  try {
    await pool.query('CREATE TABLE bench_floor (id bigint GENERATED ALWAYS AS IDENTITY, text text)');
    const times: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const started = performance.now();
      for (let commit = 0; commit < COMMITS; commit += 1) {
        await pool.query({
          name: 'floor',
          text: 'INSERT INTO bench_floor (text) VALUES ($1)',
          values: ['x'.repeat(500)],
        });
      }
      times.push(performance.now() - started);
    }
    await pool.query('DROP TABLE bench_floor');
    return { what: `${COMMITS} single-row commits`, p50: percentiles(times).p50 };
  } finally {
    await close();
  }
}

/** What the host needs at least for an amphora: a namespace, a link into it, and a Node process that starts there. */
export async function namespaceFloor(rounds: number): Promise<Floor> {
  const times: number[] = [];
  const name = `bench-${process.pid}`;
  const run = (...command: [string, ...string[]]) =>
    execFileSync(command[0], command.slice(1), { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    try {
      run('ip', 'netns', 'add', name);
      run('ip', 'link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'bench1', 'netns', name);
      run(
        'ip',
        'netns',
        'exec',
        name,
        process.execPath,
        join(import.meta.dirname, '..', 'agent', 'settings.ts'),
      );
      times.push(performance.now() - started);
    } finally {
      run('ip', 'netns', 'del', name);
    }
  }
  return {
    what: 'a namespace, a link, and a Node process that loads the settings',
    p50: percentiles(times).p50,
  };
}
