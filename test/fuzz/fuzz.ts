import { sql } from 'kysely';
import { Random } from '../chaos/random.ts';
import { type Answer, type Harness, startHarness } from '../contract/api-harness.ts';
import { Generator, type Known } from './generate.ts';
import { hostile } from './hostile.ts';

/** How long one request may take. */
const DEADLINE_MS = 10_000;
/** After so many requests everything is thrown away: longer lists find nothing new. */
const ROUND = 400;

interface Operation {
  method: string;
  path: string;
  // biome-ignore lint/suspicious/noExplicitAny: OpenAPI documents are JSON.
  description: any;
}

interface Request {
  method: string;
  path: string;
  body: unknown;
  headers: Record<string, string>;
}

/** What became of a run: how many answers of each status, and every broken promise with the request that broke it. */
export interface Verdict {
  statuses: Record<string, number>;
  failures: string[];
}

/**
 * Send requests that the API's own description suggests, sound and spoilt ones, and hold the answers against what is
 * promised: never 500, never late, always JSON.
 */
export async function fuzz(requests: number, seed: number): Promise<Verdict> {
  const api = await startHarness();
  try {
    const { body: document } = await api.send('GET', '/openapi.json');
    const operations: Operation[] = Object.entries<Record<string, unknown>>(document.paths).flatMap(
      ([path, methods]) =>
        Object.entries(methods).map(([method, description]) => ({
          method: method.toUpperCase(),
          path,
          description,
        })),
    );
    const known: Known = new Map();
    const random = new Random(seed);
    const generator = new Generator(random, known, document);
    const statuses: Record<string, number> = {};
    const failures: string[] = [];
    // What is deleted at once cannot be found again, and most of our own paths are other providers'.
    const rare = operations.filter(({ method, path }) => method === 'DELETE' || path.startsWith('/amphorae'));
    const usual = operations.filter((operation) => !rare.includes(operation));
    for (let count = 0; count < requests; count += 1) {
      if (count % ROUND === 0) {
        known.clear();
        await startOver(api, (body) => remember(known, body));
      }
      const request = spoil(
        compose(random.pick(generator.chance(0.05) ? rare : usual), generator),
        generator,
      );
      const answer = await withDeadline(
        api.send(request.method, request.path, request.body, request.headers),
      );
      const problem = judge(answer);
      if (problem !== undefined) failures.push(`${problem} to ${JSON.stringify(request).slice(0, 2000)}`);
      if (answer !== undefined) {
        statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
        remember(known, answer.body);
        if (request.method !== 'GET' && answer.status < 300 && generator.chance(0.9)) await api.settle();
      }
    }
    return { statuses, failures };
  } finally {
    await api.stop();
  }
}

function compose({ method, path, description }: Operation, generator: Generator): Request {
  const kind = (name: string, at: number) =>
    name === 'id' ? singular(path.slice(0, at).split('/').at(-2) ?? '') : name.replace(/_id$/, '');
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string, at: number) =>
    encodeURIComponent(
      generator.chance(0.97) ? generator.text(`${kind(name, at)}_id`, 'uuid') : safe(generator.pick(hostile)),
    ),
  );
  const query = new URLSearchParams();
  for (const { in: where, name, schema } of description.parameters) {
    if (where !== 'query' || !generator.chance(0.06)) continue;
    const value = generator.chance(0.9) ? generator.value(schema, name) : generator.pick(hostile);
    for (const each of Array.isArray(value) ? value : [value]) query.append(name, safe(each));
  }
  const schema = description.requestBody?.content['application/json'].schema;
  const prefix = generator.pick(['/v2', '/v2.0']);
  return {
    method,
    path: `${prefix}${filled}${query.size > 0 ? `?${query}` : ''}`,
    body: schema && generator.body(schema),
    headers: {},
  };
}

/** Spoil what is not in the body: headers, the text of the body, the path. */
function spoil(request: Request, generator: Generator): Request {
  if (request.body !== undefined && generator.chance(0.01)) {
    const text = JSON.stringify(request.body);
    request.body = generator.pick([
      text.slice(0, -1),
      `${text}${text}`,
      '['.repeat(50_000),
      text.replace('{', '{"a":1,'),
    ]);
  }
  if (generator.chance(0.01)) request.headers.accept = generator.pick(['text/html', '', ';;;', '*/*;q=x']);
  if (generator.chance(0.01)) request.headers['content-type'] = generator.pick(['text/plain', 'a/b;c', ';']);
  if (generator.chance(0.01))
    request.path += generator.pick(['/', '.json', '/x', '?', '?limit=%', '%', '%ff', '//']);
  if (generator.chance(0.05))
    request.headers['idempotency-key'] = generator.pick(['a', 'b', '', 'x'.repeat(300)]);
  return request;
}

function judge(answer: Answer | undefined): string | undefined {
  if (answer === undefined) return `no answer within ${DEADLINE_MS} ms`;
  if (answer.status >= 500 && answer.status !== 501) return `${answer.status} ${JSON.stringify(answer.body)}`;
  if (answer.status >= 400 && typeof answer.body?.faultstring !== 'string')
    return `${answer.status} without a reason`;
  return undefined;
}

async function withDeadline(answer: Promise<Answer>): Promise<Answer | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), DEADLINE_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

/** Collect ids: `{"pool": {"id": ...}}` and `{"pools": [{"id": ...}]}` wherever they are. */
function remember(known: Known, value: unknown, kind = ''): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, each] of Object.entries(value)) {
    const name = Array.isArray(value) ? kind : singular(key);
    if (key === 'id' && typeof each === 'string') {
      const ids = known.get(kind) ?? [];
      if (!ids.includes(each)) known.set(kind, [...ids.slice(-9), each]);
    } else remember(known, each, name);
  }
}

function singular(name: string): string {
  if (name === 'l7policies') return 'l7policy';
  if (name === 'rules') return 'rule';
  if (name === 'amphorae') return 'amphora';
  return name.replace(/flavorprofile/, 'flavor_profile').replace(/s$/, '');
}

/** As a query parameter or a part of a path can hold it. */
function safe(value: unknown): string {
  return (typeof value === 'string' ? value : String(JSON.stringify(value))).toWellFormed();
}

/** Nothing but a flavor, and a load balancer with one of everything. */
async function startOver(api: Harness, tell: (body: unknown) => void): Promise<void> {
  await sql`truncate load_balancers, flavors, flavor_profiles, availability_zones, availability_zone_profiles,
    quotas, actors, messages, idempotency_keys cascade`.execute(api.db);
  await api.createFlavor({ sriov_vip: true });
  const pool = {
    name: 'p',
    protocol: 'HTTP',
    lb_algorithm: 'ROUND_ROBIN',
    members: [{ address: '10.9.0.1', protocol_port: 80 }],
    healthmonitor: { type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
  };
  const l7policies = [{ action: 'REJECT', rules: [{ type: 'PATH', compare_type: 'EQUAL_TO', value: '/x' }] }];
  const listeners = [{ protocol: 'HTTP', protocol_port: 80, l7policies }];
  tell({ loadbalancer: await api.createLoadBalancer({ listeners, pools: [pool] }) });
}
