import { connect } from 'nats';
import pino from 'pino';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { StatusPublisher } from '../../src/status/publisher.ts';
import { StatusStream } from '../../src/status/stream.ts';
import { openDatabase } from '../../src/store/database.ts';

/** `status-publisher.ts NAME DATABASE_URL NATS_URL`: a process that publishes status events until it is killed. */
const [name = '', databaseUrl = '', natsUrl = ''] = process.argv.slice(2);
const { db } = openDatabase(databaseUrl, { maxConnections: 2, applicationName: name });
const nats = await connect(natsOptions(natsUrl));
const publisher = new StatusPublisher(
  {
    db,
    stream: new StatusStream(nats, { maxAgeMs: 3_600_000, maxBytes: 2 ** 24 }),
    log: pino({ level: 'silent' }),
  },
  { name, lookMs: 100 },
);
// Busier than it would be, so that it is hit while it publishes.
setInterval(() => publisher.wake(), 2);
