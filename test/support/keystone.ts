import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { request } from 'undici';
import { freeAddress } from '../../src/cli/up/address.ts';
import { type ChildSpec, startChild, whenReady } from '../../src/cli/up/child.ts';

/** Users, their password, and the role that each has in one project. */
export const PASSWORD = 'a password for tests';
export const people = {
  'alpha-member': { project: 'alpha', role: 'member' },
  'alpha-reader': { project: 'alpha', role: 'reader' },
  'alpha-stranger': { project: 'alpha', role: 'unrelated' },
  'beta-member': { project: 'beta', role: 'member' },
  'beta-service': { project: 'beta', role: 'service' },
  operator: { project: 'beta', role: 'admin' },
  observer: { project: 'alpha', role: 'load-balancer_observer' },
  'global-observer': { project: 'beta', role: 'load-balancer_global_observer' },
  'lb-member': { project: 'alpha', role: 'load-balancer_member' },
  'quota-admin': { project: 'beta', role: 'load-balancer_quota_admin' },
  'lb-admin': { project: 'beta', role: 'load-balancer_admin' },
  amphorae: { project: 'service', role: 'service' },
} as const;
export type Person = keyof typeof people;
export type Project = (typeof people)[Person]['project'];

/** A Keystone with those people in it. */
export interface TestKeystone {
  url: string;
  /** Ids of the projects. */
  projects: Record<Project, string>;
  /** A new token, for the person's project; with `null` for none. */
  token(person: Person, project?: null): Promise<string>;
  revoke(token: string): Promise<void>;
  /** Have the catalogue say where a service is. */
  register?(type: string, url: string): Promise<void>;
  /** Take the person's role away. */
  dismiss(person: Person): Promise<void>;
  /** Let nobody reach it for a while. */
  withoutIt(work: () => Promise<void>): Promise<void>;
  /** How often it was asked about a token. */
  validations?(): number;
  stop(): Promise<void>;
}

/** Settings of the service's own account there. */
export function accountSettings(url: string) {
  return {
    os_auth_url: url,
    os_username: 'amphorae',
    os_password: PASSWORD,
    os_project_name: 'service',
    os_user_domain_name: 'Default',
    os_project_domain_name: 'Default',
  };
}

type RealKeystone = TestKeystone & Required<Pick<TestKeystone, 'register'>>;

/** Variables by which OpenStack's clients log in. */
export function clientEnvironment(url: string, person: Person): Record<string, string> {
  return {
    OS_AUTH_URL: url,
    OS_USERNAME: person,
    OS_PASSWORD: PASSWORD,
    OS_PROJECT_NAME: people[person].project,
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_REGION_NAME: 'RegionOne',
    OS_IDENTITY_API_VERSION: '3',
  };
}

/** A real Keystone, as Debian packages it, on SQLite: ready in about fifteen seconds. */
export async function startKeystone(): Promise<RealKeystone> {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const address = await freeAddress('127.0.0.1:0');
  const url = `http://${address}/v3`;
  writeFileSync(join(directory, 'keystone.conf'), configuration(directory));
  for (const keys of ['fernet', 'credential']) mkdirSync(join(directory, keys), { mode: 0o700 });
  const manage = (...args: string[]) =>
    promisify(execFile)('keystone-manage', ['--config-file', join(directory, 'keystone.conf'), ...args]);
  await manage('db_sync');
  letReadersBe(join(directory, 'keystone.db'));
  await manage('fernet_setup', '--keystone-user', 'root', '--keystone-group', 'root');
  await manage(
    'bootstrap',
    '--bootstrap-password',
    PASSWORD,
    '--bootstrap-public-url',
    url,
    '--bootstrap-region-id',
    'RegionOne',
  );

  const [host = '', port = ''] = address.split(':');
  const spec: ChildSpec = {
    name: 'keystone',
    command: ['keystone-wsgi-public', '--host', host, '--port', port],
    env: { ...process.env, OS_KEYSTONE_CONFIG_DIR: directory },
    log: join(directory, 'keystone.log'),
    deathSignal: 'KILL',
  };
  const start = async () => {
    const started = await startChild(spec);
    await whenReady(started, spec, 60, async () =>
      (await request(url)).body.dump().then(() => true as const),
    );
    return started;
  };
  let child = await start();
  const stop = async () => {
    await child.stop('SIGKILL', 0);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const root = await logIn(url, 'admin', 'admin');
    const { projects, revokers } = await populate(url, root);
    return {
      url,
      projects,
      stop,
      token: (person, project) => logIn(url, person, project === null ? undefined : people[person].project),
      revoke: async (token) =>
        void (await call(url, root, 'DELETE', '/auth/tokens', undefined, { 'x-subject-token': token })),
      async register(type, at) {
        const { body } = await call(url, root, 'POST', '/services', { service: { type, name: type } });
        const { id } = body.service as { id: string };
        const endpoint = { service_id: id, interface: 'public', url: at, region_id: 'RegionOne' };
        await call(url, root, 'POST', '/endpoints', { endpoint });
      },
      dismiss: async (person) => void (await revokers[person]()),
      async withoutIt(work) {
        await child.stop('SIGKILL', 0);
        await work();
        child = await start();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Keystone leaves reading transactions open, for which a writer would wait in vain without a write-ahead log. */
function letReadersBe(path: string): void {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL');
  database.close();
}

function configuration(directory: string): string {
  return `[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///${directory}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = ${directory}/fernet
[credential]
key_repository = ${directory}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = oslo_cache.dict
`;
}

async function populate(url: string, root: string) {
  const create = async (kind: string, name: string, more: object = {}): Promise<string> => {
    const { body } = await call(url, root, 'GET', `/${kind}s?name=${name}`);
    const [known] = body[`${kind}s`] as { id: string }[];
    if (known !== undefined) return known.id;
    const made = await call(url, root, 'POST', `/${kind}s`, { [kind]: { name, ...more } });
    return (made.body[kind] as { id: string }).id;
  };
  const projects = {} as Record<Project, string>;
  const revokers = {} as Record<Person, () => Promise<unknown>>;
  for (const [person, { project, role }] of Object.entries(people)) {
    projects[project] ??= await create('project', project, { domain_id: 'default' });
    const user = await create('user', person, { domain_id: 'default', password: PASSWORD });
    const grant = `/projects/${projects[project]}/users/${user}/roles/${await create('role', role)}`;
    await call(url, root, 'PUT', grant);
    revokers[person as Person] = () => call(url, root, 'DELETE', grant);
  }
  return { projects, revokers };
}

async function logIn(url: string, name: string, project: string | undefined): Promise<string> {
  const domain = { id: 'default' };
  const auth = {
    identity: { methods: ['password'], password: { user: { name, domain, password: PASSWORD } } },
    scope: project === undefined ? 'unscoped' : { project: { name: project, domain } },
  };
  const { headers } = await call(url, '', 'POST', '/auth/tokens', { auth });
  return String(headers['x-subject-token']);
}

async function call(
  url: string,
  token: string,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: object,
  headers: Record<string, string> = {},
) {
  const answer = await request(`${url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', 'x-auth-token': token, ...headers },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 400) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
  return { headers: answer.headers, body: (text ? JSON.parse(text) : {}) as Record<string, unknown> };
}
