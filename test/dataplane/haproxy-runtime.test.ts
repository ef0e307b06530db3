// timeout: 180
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { MemberNode, PoolNode } from '../../src/model/graph.ts';
import { healthMonitor, listener, pool } from '../support/graph.ts';
import { echoMember, type HaproxyStand, MEMBERS, startHaproxyStand, VIP } from '../support/haproxy-stand.ts';

// Changes of members without a reload, and reloads: what serves before, during and after.

let stand: HaproxyStand;
test.before(async () => {
  stand = await startHaproxyStand();
});
test.after(() => stand?.stop());

const serve = (members: MemberNode[], parts: Partial<PoolNode> = {}, connectionLimit = -1) =>
  stand.apply({ listeners: [listener({ connectionLimit })], pools: [pool({ members, ...parts })] });

/** How many of `count` requests each member answers, in the order of their numbers. */
async function shares(count: number): Promise<number[]> {
  const { stdout } = spawn('ip', [
    ...['netns', 'exec', stand.client.name, 'curl', '--silent', '--write-out', '\n', '--no-keepalive'],
    `http://${VIP}/?[1-${count}]`,
  ]);
  const text = (await stdout.setEncoding('utf8').toArray()).join('');
  const answers = text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { member: string }).member);
  return MEMBERS.map((address) => answers.filter((each) => each === address).length);
}

/** What happens leaves the process that serves in place. */
async function withoutReload(change: () => Promise<void>): Promise<void> {
  const worker = await stand.worker();
  await change();
  assert.is(await stand.worker(), worker);
}

test('weights change without a reload, and weight 0 drains', async () => {
  await serve([echoMember(1), echoMember(2)]);
  assert.equal(await shares(8), [4, 4, 0]);
  await withoutReload(() => serve([echoMember(1, { weight: 3 }), echoMember(2)]));
  assert.equal(await shares(8), [6, 2, 0]);
  await withoutReload(() => serve([echoMember(1, { weight: 0 }), echoMember(2)]));
  assert.equal(await shares(8), [0, 8, 0]);
});

test('a member is switched off and on without a reload', async () => {
  await serve([echoMember(1), echoMember(2)]);
  await withoutReload(() => serve([echoMember(1, { adminStateUp: false }), echoMember(2)]));
  assert.equal(await shares(4), [0, 4, 0]);
  await withoutReload(() => serve([echoMember(1), echoMember(2)]));
  assert.equal(await shares(4), [2, 2, 0]);
});

test('members come and go without a reload, and come with their health checks', async () => {
  const healthMonitor_ = healthMonitor({
    type: 'TCP',
    delay: 1,
    timeout: 1,
    maxRetries: 1,
    maxRetriesDown: 1,
  });
  const monitored = { healthMonitor: healthMonitor_ };
  await serve([echoMember(1)], monitored);
  await withoutReload(() =>
    serve([echoMember(1), echoMember(2), echoMember(3, { protocolPort: 8099 })], monitored),
  );
  await waitFor('the third member to be found down', 5, async () => {
    const { length } = [...(await stand.ask('show stat')).matchAll(/,DOWN[, ]/g)];
    return length === 1 || undefined;
  });
  assert.equal(await shares(4), [2, 2, 0]);
  await withoutReload(() => serve([echoMember(2), echoMember(1)], monitored));
  assert.equal(await shares(4), [2, 2, 0]);
});

test('a reload after changes at runtime brings what the configuration says, not what the socket said', async () => {
  const monitored = { healthMonitor: healthMonitor({ type: 'TCP', delay: 1, timeout: 1 }) };
  const [first, second] = [echoMember(1), echoMember(2)];
  await serve([first, second], monitored);
  await withoutReload(() =>
    serve(
      [
        { ...first, weight: 7 },
        { ...second, adminStateUp: false },
      ],
      monitored,
    ),
  );
  const worker = await stand.worker();
  await serve([first, second], monitored, 1_000);
  assert.is.not(await stand.worker(), worker);
  assert.equal(await shares(8), [4, 4, 0]);
  await withoutReload(() => serve([{ ...first, weight: 0 }, second], monitored, 1_000));
  await serve([{ ...first, weight: 0 }, second], monitored, 2_000);
  assert.equal(await shares(4), [0, 4, 0]);
});

test('what the runtime socket refuses is done by a reload', async () => {
  const sticky: Partial<PoolNode> = {
    sessionPersistence: {
      type: 'HTTP_COOKIE',
      cookie_name: null,
      persistence_timeout: null,
      persistence_granularity: null,
    },
  };
  await serve([echoMember(1)], sticky);
  await serve([echoMember(1), echoMember(2)], sticky);
  assert.equal(await shares(4), [2, 2, 0]);
  await serve([echoMember(1)], { lbAlgorithm: 'SOURCE_IP' });
  await serve([echoMember(1, { weight: 2 }), echoMember(2)], { lbAlgorithm: 'SOURCE_IP' });
  assert.match(await stand.ask('show servers state'), new RegExp(` ${MEMBERS[0]} 2 0 2 2 `));
});

test('a haproxy that dies comes back with what was changed at runtime', async () => {
  await serve([echoMember(1), echoMember(2)]);
  await withoutReload(() => serve([echoMember(2), echoMember(3)]));
  const worker = await stand.worker();
  await stand.amphora.inDataPlane(['kill', '-9', ...(await stand.amphora.haproxyPids())]);
  await waitFor(
    'another haproxy',
    10,
    async () => (await stand.worker().catch(() => worker)) !== worker || undefined,
  );
  assert.equal(await shares(4), [0, 2, 2]);
  await serve([echoMember(1)]);
  assert.equal(await shares(4), [4, 0, 0]);
});

test('reloads are counted, and those who ask at the same time share one', async () => {
  const { amphora } = stand;
  const path = '/1.0/loadbalancer/00000000-0000-4000-8000-000000000001';
  const reload = async () =>
    (await amphora.call('PUT', `${path}/reload`, undefined, '1')).json().details as string;
  await serve([echoMember(1)]);
  const config = (await amphora.call('GET', `${path}/haproxy`)).text;
  const count = (details: string) => Number(/reloads so far: (\d+)/.exec(details)?.[1]);
  const before = await reload();
  assert.match(before, /by nothing/, 'it serves already');
  const other = config.replace('retries 3', 'retries 2');
  await amphora.call(
    'PUT',
    path.replace('loadbalancer/', `loadbalancer/${amphora.id}/`).concat('/haproxy'),
    other,
    '1',
  );
  const answers = await Promise.all([reload(), reload(), reload()]);
  assert.equal(new Set(answers.map(count)), new Set([count(before) + 1]));
});

test('no request fails while members change on the socket and by reloads', async () => {
  const load = spawn('ip', [
    ...['netns', 'exec', stand.client.name, 'curl', '--silent', '--output', '/dev/null', '--max-time', '60'],
    ...['--no-keepalive', '--write-out', '%{stderr}%{http_code}\n', `http://${VIP}/?[1-1000000]`],
  ]);
  let output = '';
  load.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  for (let round = 1; round <= 12; round += 1) {
    const weight = 1 + (round % 5);
    await serve(
      [echoMember(1, { weight }), ...(round % 2 ? [echoMember(2)] : [])],
      {},
      500 + Math.floor(round / 4),
    );
  }
  load.kill();
  await once(load, 'close');
  const statuses = output.trim().split('\n').slice(0, -1);
  assert.ok(statuses.length > 50, `only ${statuses.length} requests were made`);
  assert.equal(new Set(statuses), new Set(['200']));
});

test.run();
