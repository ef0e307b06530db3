import { hostname } from 'node:os';
import { TerminalError } from '../model/errors.ts';
import type { Command } from './command.ts';
import { shrinkHeap } from './heap.ts';
import { createController } from './serve/controller.ts';
import { openLog } from './serve/log.ts';
import { aborted, terminationSignal } from './termination.ts';

export const command: Command = {
  description:
    'Runs one process against the PostgreSQL in --database-url (migrated before with `amphorae migrate`) and the NATS ' +
    'in --nats-url until it gets SIGTERM. Any number of them share the load balancers between them.',
  settings: [
    'database_url',
    'nats_url',
    'listen',
    'roles',
    'auth',
    'provider',
    'node_id',
    'data_dir',
    'lease_seconds',
    'effect_concurrency',
    'log_level',
    'log_format',
  ],
  async run({ config }) {
    if (!config.database_url || !config.nats_url) {
      throw new TerminalError(
        'not_configured',
        'name the database in --database-url and the broker in --nats-url; `amphorae up` brings its own',
      );
    }
    const termination = terminationSignal();
    const node_id = config.node_id || `${hostname()}-${process.pid}`;
    const log = openLog(config, node_id);
    const controller = await createController({ ...config, node_id }, log);
    process.stdout.write(`ready ${controller.url ?? 'controller'}\n`);
    shrinkHeap();
    await aborted(termination);
    log.info('draining');
    await controller.close();
    return 0;
  },
};
