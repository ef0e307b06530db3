import { TerminalError } from '../model/errors.ts';
import { openDatabase } from '../store/database.ts';
import { migrate } from '../store/migrator.ts';
import type { Command } from './command.ts';

export const command: Command = {
  description:
    'Brings the schema of the database in --database-url up to date. Safe to run at any time, by several at once.',
  settings: ['database_url'],
  async run({ config }) {
    if (!config.database_url) {
      throw new TerminalError(
        'no_database',
        'name the database in --database-url or DATABASE_URL; `up` migrates its own',
      );
    }
    const { db, close } = openDatabase(config.database_url, {
      maxConnections: 1,
      applicationName: 'amphorae-migrate',
    });
    const applied = await migrate(db).finally(close);
    process.stdout.write(
      applied.length > 0 ? applied.map((name) => `applied ${name}\n`).join('') : 'up to date\n',
    );
    return 0;
  },
};
