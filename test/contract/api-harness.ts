import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { pino } from 'pino';
import * as assert from 'uvu/assert';
import type { Bus, Envelope } from '../../src/actors/bus.ts';
import { Mailbox } from '../../src/actors/mailbox.ts';
import { loadConfig } from '../../src/config.ts';
import { type Api, createApi } from '../../src/http/app.ts';
import { createNoopProvider, type NoopProvider } from '../../src/providers/noop/provider.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { silentBus } from '../support/bus.ts';
import { startTestPostgres } from '../support/postgres.ts';

type Json = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: tests reach into answers of many shapes.
type Any = any;

export interface Answer {
  status: number;
  headers: Headers;
  body: Any;
}

export interface Harness {
  db: Db;
  /** What the API was made with. */
  dependencies: Api;
  provider: NoopProvider;
  /** What the actors were told, oldest first. */
  published: Envelope[];
  /** Statements that the database has seen. */
  statements(): number;
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Send and check the status; answers the object under its root key, or the whole body. */
  expect(status: number, method: string, path: string, body?: unknown): Promise<Any>;
  /** The object at a path. */
  show(path: string): Promise<Any>;
  /** Expect a fault whose text matches. */
  refuse(status: number, text: RegExp, method: string, path: string, body?: unknown): Promise<void>;
  /** What the runtime does when a push succeeded. */
  settle(): Promise<void>;
  /** A load balancer, ACTIVE unless `settled` is false. */
  createLoadBalancer(attributes?: Json): Promise<Any>;
  createFlavor(data: Json): Promise<string>;
  stop(): Promise<void>;
}

/** The API in-process, on a real database and a network that takes any UUID, with a bus that only records. */
export async function startHarness(options: Partial<Api> = {}): Promise<Harness> {
  const postgres = await startTestPostgres();
  const { db, close, pool } = openDatabase(postgres.url, { maxConnections: 4, applicationName: 'api test' });
  const provider = createNoopProvider();
  const published: Envelope[] = [];
  const bus: Bus = { ...silentBus, publish: (envelopes) => published.push(...envelopes) };
  let statements = 0;
  pool.on('connect', (client) => {
    const query = client.query.bind(client);
    client.query = ((...given: Parameters<typeof query>) => {
      statements += 1;
      return query(...given);
    }) as typeof client.query;
  });
  const dependencies: Api = {
    db,
    mailbox: new Mailbox(bus),
    network: provider.network,
    lvs: provider.lvs,
    config: loadConfig({}, {}),
    log: pino({ level: 'silent' }),
    ...options,
  };
  const app = createApi(dependencies);

  const harness: Harness = {
    db,
    dependencies,
    provider,
    published,
    statements: () => statements,
    async send(method, path, body, headers = {}) {
      const json = body === undefined ? {} : { 'content-type': 'application/json' };
      const response = await app.request(path, {
        method,
        headers: { ...json, ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: text && parse(text) };
    },
    async expect(status, method, path, body) {
      const answer = await harness.send(method, path, body);
      assert.is(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
      const [root] = Object.values(answer.body ?? {});
      return (status === 201 || method === 'PUT') && root ? root : answer.body;
    },
    async show(path) {
      return Object.values((await harness.send('GET', path)).body)[0];
    },
    async refuse(status, text, method, path, body) {
      const answer = await harness.send(method, path, body);
      const asked = `${method} ${path} ${JSON.stringify(body)}`;
      assert.is(answer.status, status, `${asked}: ${JSON.stringify(answer.body)}`);
      assert.equal(Object.keys(answer.body), ['faultcode', 'faultstring', 'debuginfo']);
      assert.is(answer.body.faultcode, status < 500 ? 'Client' : 'Server');
      assert.match(answer.body.faultstring, text, asked);
    },
    async settle() {
      for (const table of ['l7rules', 'l7policies', 'health_monitors', 'members', 'listeners', 'pools']) {
        const rows = sql.table(table);
        await sql`delete from ${rows} where provisioning_status = 'PENDING_DELETE'`.execute(db);
        await sql`update ${rows} set provisioning_status = 'ACTIVE' where provisioning_status like 'PENDING%'`.execute(
          db,
        );
      }
      await sql`update load_balancers set updated_at = now(), applied_revision = desired_revision, provisioning_status =
        case provisioning_status when 'PENDING_DELETE' then 'DELETED' else 'ACTIVE' end
        where provisioning_status like 'PENDING%'`.execute(db);
    },
    async createLoadBalancer(attributes = {}) {
      const created = await harness.expect(201, 'POST', '/v2/lbaas/loadbalancers', {
        loadbalancer: { vip_subnet_id: randomUUID(), ...attributes },
      });
      await harness.settle();
      return created;
    },
    async createFlavor(data) {
      const profile = await harness.expect(201, 'POST', '/v2/lbaas/flavorprofiles', {
        flavorprofile: { name: 'p', provider_name: 'amphora', flavor_data: JSON.stringify(data) },
      });
      const flavor = await harness.expect(201, 'POST', '/v2/lbaas/flavors', {
        flavor: { name: randomUUID(), flavor_profile_id: profile.id },
      });
      return flavor.id;
    },
    async stop() {
      await close();
      await postgres.stop();
    },
  };
  return harness;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
