// timeout: 180
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { connect, type NatsConnection } from 'nats';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { RestClient } from '../../src/cli/rest-client.ts';
import { createController } from '../../src/cli/serve/controller.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { StatusEvent, subjectOf } from '../../src/status/event.ts';
import { StatusPublisher } from '../../src/status/publisher.ts';
import { STREAM, StatusStream } from '../../src/status/stream.ts';
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';

const log = pino({ level: 'silent' });
const limits = { maxAgeMs: 3_600_000, maxBytes: 2 ** 24 };

let postgres: TestPostgres;
let broker: TestNats;
let database: OpenDatabase;
let nats: NatsConnection;
const children = new Set<ChildProcess>();

test.before(async () => {
  postgres = await startTestPostgres();
  broker = await startTestNats();
  database = openDatabase(postgres.url, { maxConnections: 4, applicationName: 'test' });
  nats = await connect({ ...natsOptions(broker.url), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
});
test.after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await nats.close();
  await database.close();
  await broker.stop();
  await postgres.stop();
});
test.before.each(async () => {
  const { streams } = await nats.jetstreamManager();
  await streams.delete(STREAM).catch(() => {});
  await database.db.deleteFrom('load_balancers').execute();
  await database.db.deleteFrom('status_events').execute();
  await database.db.updateTable('status_publisher').set({ holder: null }).execute();
});

test('the life of a load balancer is on the stream, soon after each commit', () =>
  withController({ sweep_seconds: 30 }, async (api, url) => {
    const node = process.execPath;
    const examples = [
      startExample(node, 'status-subscriber.ts', broker.url),
      startExample(node, 'follow-events.ts', url),
      startExample('python3', 'follow-events.py', url),
    ];
    for (const { lines } of examples.slice(1))
      await waitFor('the example to follow', 10, () => lines.includes('ready') || undefined);
    const { loadbalancer } = await api.call<{ loadbalancer: { id: string } }>('POST', collection, {
      loadbalancer: {
        vip_subnet_id: randomUUID(),
        project_id: 'a.b > *',
        listeners: [{ protocol: 'HTTP', protocol_port: 80 }],
      },
    });
    const { id } = loadbalancer;
    const seen = (to: string, resource = 'loadbalancer') =>
      waitFor(`${resource} ${to} on the stream`, 5, async () =>
        (await stored()).find(
          (event) => event.resource === resource && event.new?.provisioning_status === to,
        ),
      );
    assert.is((await seen('ACTIVE')).subject, `amphorae.status.loadbalancer.a_b____.${id}`);
    await seen('ACTIVE', 'listener');
    await api.call('DELETE', `${collection}/${id}?cascade=true`);
    await seen('DELETED');

    const events = await stored();
    assertGapless(events);
    assert.equal(statuses(events, 'loadbalancer'), ['PENDING_CREATE', 'ACTIVE', 'PENDING_DELETE', 'DELETED']);
    assert.equal(statuses(events, 'listener'), ['PENDING_CREATE', 'ACTIVE', 'removed']);
    assert.equal(statuses(events, 'amphora'), [
      'PENDING_CREATE',
      ...['BOOTING', 'ALLOCATED', 'PENDING_DELETE', 'removed'],
    ]);
    assert.ok(events.every((event) => event.loadbalancer_id === id && event.project_id === 'a.b > *'));

    for (const { child, lines } of examples) {
      const printed = () => lines.filter((line) => line !== 'ready');
      await waitFor(
        'the example to print all of it',
        10,
        () => printed().length === events.length || undefined,
      );
      assert.match(lines.join('\n'), new RegExp(`loadbalancer ${id}: PENDING_CREATE -> ACTIVE`));
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }));

test('the subjects that are documented for the command line select what is said of them', async () => {
  const document = readFileSync(resolve(import.meta.dirname, '../../docs/status-events.md'), 'utf8');
  const subjects = [...document.matchAll(/^nats subscribe .*?'(.+?)'/gm)].map(([, subject = '']) => subject);
  assert.is(subjects.length, 3);
  const heard = subjects.map((subject) => {
    const events: string[] = [];
    nats.subscribe(subject, { max: 3, callback: (_, message) => events.push(message.subject) });
    return events;
  });
  const stream = new StatusStream(nats, limits);
  const of = (project_id: string, resource: StatusEvent['resource'], sequence: number) => ({
    ...makeEvent(sequence),
    ...{ project_id, resource },
  });
  const events = [of('default', 'pool', 1), of('p', 'loadbalancer', 2), of('default', 'loadbalancer', 3)];
  await stream.append(events, true);
  await nats.flush();
  const [pool, another, balancer] = events.map(subjectOf);
  assert.equal(heard, [
    [another, balancer],
    [pool, balancer],
    [pool, another, balancer],
  ]);
});

test('changes made while NATS is away are published when it is back, in order', async () => {
  const publisher = new StatusPublisher(
    { db: database.db, stream: new StatusStream(nats, limits), log },
    { name: 'patient', lookMs: 100 },
  );
  try {
    const ids = await insert(5);
    await drained();
    await broker.restart(async () => {
      for (let round = 0; round < 20; round += 1) await toggle(ids);
      assert.is(await waiting(), 100);
    });
    await drained();
    const events = await stored();
    assert.is(events.length, 105);
    assertGapless(events);
  } finally {
    await publisher.close();
  }
});

test('publishers die at any moment: each event is on the stream once, and in order', async () => {
  const ids = await insert(20);
  let changes = ids.length;
  const names = ['one', 'two', 'three'];
  const start = (name: string) => run('../support/status-publisher.ts', [name, postgres.url, broker.url]);
  const processes = new Map(names.map((name) => [name, start(name)]));
  await drained();
  for (let death = 0; death < 6; death += 1) {
    const { holder } = await database.db
      .selectFrom('status_publisher')
      .select('holder')
      .executeTakeFirstOrThrow();
    const name = holder ?? 'one';
    for (let round = 0; round < 30; round += 1) {
      await toggle(ids);
      changes += ids.length;
      if (round === 15) processes.get(name)?.kill('SIGKILL');
    }
    processes.set(name, start(name));
    await waitFor('another publisher to go on', 10, async () => ((await waiting()) === 0 ? true : undefined));
  }
  for (const child of processes.values()) child.kill('SIGKILL');
  const events = await stored();
  assert.is(events.length, changes);
  assertGapless(events);
});

test('a publisher that has been replaced cannot add what it still holds, and finds what it missed', async () => {
  const [first, second, third, fourth] = [makeEvent(1), makeEvent(2), makeEvent(3), makeEvent(4)];
  const [early, late] = [new StatusStream(nats, limits), new StatusStream(nats, limits)];
  const sequences = async () => (await stored()).map(({ sequence }) => sequence);
  await early.append([first], true);
  await late.append([first, second, third], true);
  assert.equal(await sequences(), [1, 2, 3]);
  const refused = await early.append([fourth], false).catch((error: Error) => error.message);
  assert.match(String(refused), /wrong last sequence/);
  assert.equal(await sequences(), [1, 2, 3]);
  await early.append([second, third, fourth], false);
  assert.equal(await sequences(), [1, 2, 3, 4]);
});

test('the stream has the limits of the settings, and keeps what an operator changed besides', async () => {
  await new StatusStream(nats, limits).open();
  const { streams } = await nats.jetstreamManager();
  const { config } = await streams.info(STREAM);
  await streams.update(STREAM, { ...config, description: 'ours' });
  await new StatusStream(nats, { maxAgeMs: 60_000, maxBytes: 2 ** 20 }).open();
  const changed = await streams.info(STREAM);
  assert.is(changed.config.max_age, 60_000 * 1_000_000);
  assert.is(changed.config.max_bytes, 2 ** 20);
  assert.is(changed.config.description, 'ours');
});

const collection = '/v2.0/lbaas/loadbalancers';

/** A whole process of the control plane, inside this one. */
async function withController(
  settings: Partial<Config>,
  work: (api: RestClient, url: string) => Promise<void>,
) {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const config: Config = {
    ...loadConfig({}, {}),
    ...{ provider: 'noop', listen: '127.0.0.1:0', data_dir: directory },
    ...{ database_url: postgres.url, nats_url: broker.url },
    ...settings,
  };
  try {
    const controller = await createController(config, log);
    const url = controller.url ?? '';
    await work(new RestClient(url), url).finally(() => controller.close());
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function startExample(program: string, file: string, ...args: string[]) {
  const child = run(`../../docs/examples/${file}`, args, program);
  const lines: string[] = [];
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => lines.push(line));
  return { child, lines };
}

function run(file: string, args: string[], program = process.execPath): ChildProcess {
  const child = spawn(program, [resolve(import.meta.dirname, file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Everything on the stream, oldest first. */
async function stored(): Promise<(StatusEvent & { subject: string })[]> {
  const { streams } = await nats.jetstreamManager();
  const info = await streams.info(STREAM).catch(() => undefined);
  const sequences = Array.from({ length: info?.state.last_seq ?? 0 }, (_, index) => index + 1);
  return Promise.all(
    sequences.map(async (seq) => {
      const message = await streams.getMessage(STREAM, { seq });
      const event = StatusEvent.parse(message.json());
      assert.is(message.subject, subjectOf(event));
      return { ...event, subject: message.subject };
    }),
  );
}

/** Of every object: each event begins where the one before ended, and has a higher sequence and no earlier time. */
function assertGapless(events: StatusEvent[]): void {
  const last = new Map<string, StatusEvent>();
  for (const event of events) {
    const before = last.get(event.id);
    assert.equal(event.old, before?.new ?? null);
    assert.ok(before === undefined || (before.sequence < event.sequence && before.time <= event.time));
    last.set(event.id, event);
  }
}

function statuses(events: StatusEvent[], resource: string): string[] {
  return events
    .filter((event) => event.resource === resource)
    .map((event) => event.new?.provisioning_status ?? 'removed');
}

async function insert(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => randomUUID());
  const rows = ids.map((id) => ({ id, project_id: 'p', provider: 'amphora', topology: 'SINGLE' as const }));
  await database.db.insertInto('load_balancers').values(rows).execute();
  return ids;
}

/** Change the status of each, several transactions at a time. */
async function toggle(ids: string[]): Promise<void> {
  await Promise.all(
    ids.map((id) =>
      database.db
        .updateTable('load_balancers')
        .set((row) => ({
          provisioning_status: row
            .case()
            .when('provisioning_status', '=', 'ACTIVE')
            .then('PENDING_UPDATE' as const)
            .else('ACTIVE' as const)
            .end(),
        }))
        .where('id', '=', id)
        .execute(),
    ),
  );
}

async function waiting(): Promise<number> {
  const rows = await database.db.selectFrom('status_events').select('sequence').execute();
  return rows.length;
}

function drained(): Promise<true> {
  return waitFor('all events to be published', 20, async () => ((await waiting()) === 0 ? true : undefined));
}

const object = randomUUID();
function makeEvent(sequence: number): StatusEvent {
  return {
    ...{ sequence, time: new Date().toISOString(), resource: 'pool', revision: 1, old: null, new: null },
    ...{ id: object, project_id: 'p', loadbalancer_id: object },
  };
}

test.run();
