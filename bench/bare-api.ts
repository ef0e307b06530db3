import { fork } from 'node:child_process';
import { once } from 'node:events';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { openDatabase } from '../src/store/database.ts';

/** What an HTTP answer out of PostgreSQL costs with nobody in charge: Hono, and one row by its key. */
export interface BareApi {
  url: string;
  stop(): Promise<void>;
}

/** Start it in a process of its own, as the controller is one. It ends with us. */
export async function startBareApi(databaseUrl: string): Promise<BareApi> {
  const child = fork(import.meta.filename, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.send(databaseUrl);
  const [port] = (await once(child, 'message')) as [number];
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}

function run(databaseUrl: string): void {
  const { pool } = openDatabase(databaseUrl, { maxConnections: 8, applicationName: 'bench' });
  const app = new Hono();
  app.get('/:id', async (context) => {
    const text = 'SELECT * FROM load_balancers WHERE id = $1';
    const { rows } = await pool.query({ name: 'one', text, values: [context.req.param('id')] });
    return context.json({ loadbalancer: rows[0] });
  });
  serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => process.send?.(port));
}

if (process.argv[1] === import.meta.filename) {
  process.once('disconnect', () => process.exit());
  process.once('message', (databaseUrl) => run(databaseUrl as string));
}
