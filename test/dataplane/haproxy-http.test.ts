// timeout: 180
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { L7PolicyNode, L7RuleNode, ListenerNode, MemberNode, PoolNode } from '../../src/model/graph.ts';
import { healthMonitor, l7policy, l7rule, listener, pool, uuid } from '../support/graph.ts';
import {
  CLIENT,
  echoMember,
  type HaproxyStand,
  MEMBERS,
  NOBODY,
  startHaproxyStand,
  VIP,
} from '../support/haproxy-stand.ts';

// What haproxy does with requests and members, seen by real curl and real members: everything but TLS.

let stand: HaproxyStand;
test.before(async () => {
  stand = await startHaproxyStand();
});
test.after(() => stand?.stop());

const web = (path = '/', ...options: string[]) => stand.curl(`http://${VIP}${path}`, ...options);
const members = (...each: MemberNode[]) => pool({ members: each });
const serve = (parts: Partial<ListenerNode>, ...pools: PoolNode[]) =>
  stand.apply({ listeners: [listener(parts)], pools });

/** Who answers `count` requests, one after the other. */
async function answers(count: number, ...options: string[]): Promise<string[]> {
  const given: string[] = [];
  while (given.length < count) given.push((await web('/', ...options)).echo().member);
  return given;
}

/** Policies in this order, each with its rules. */
function policies(...each: [Partial<L7PolicyNode>, ...Partial<L7RuleNode>[]][]): L7PolicyNode[] {
  return each.map(([policy, ...rules], index) =>
    l7policy({
      id: uuid(50 + index),
      position: index + 1,
      ...policy,
      rules: rules.map((rule, place) => l7rule({ id: uuid(600 + index * 10 + place), ...rule })),
    }),
  );
}

test('policies reject, redirect and route; the first that matches decides, whatever its action', async () => {
  await serve(
    {
      l7policies: policies(
        [{ action: 'REDIRECT_TO_POOL', redirectPoolId: uuid(21) }, { value: '/both' }],
        [{ action: 'REJECT' }, { compareType: 'STARTS_WITH', value: '/b' }],
        [
          { action: 'REDIRECT_TO_URL', redirectUrl: 'http://example.com/a?b=%20c', redirectHttpCode: 301 },
          { compareType: 'ENDS_WITH', value: '.old' },
        ],
        [
          { action: 'REDIRECT_PREFIX', redirectPrefix: 'http://example.com/p', redirectHttpCode: 307 },
          { compareType: 'CONTAINS', value: '/moved/' },
        ],
        [{ action: 'REJECT' }, { value: '/late' }],
        [{ action: 'REDIRECT_TO_POOL', redirectPoolId: uuid(21) }, { value: '/late' }],
        [
          { action: 'REDIRECT_TO_POOL', redirectPoolId: uuid(21) },
          { compareType: 'STARTS_WITH', value: '/two' },
          { type: 'HEADER', key: 'X-Second', value: 'no', invert: true },
        ],
      ),
    },
    members(echoMember(1)),
    { ...members(echoMember(2)), id: uuid(21) },
  );
  const [first, second] = MEMBERS;
  assert.is((await web('/')).echo().member, first);
  assert.is((await web('/both')).echo().member, second, 'a pool at position 1 beats a rejection at 2');
  assert.is((await web('/but')).status, 403);
  assert.is((await web('/late')).status, 403, 'a rejection at position 5 beats a pool at 6');
  const url = await web('/x.old');
  assert.is(url.status, 301);
  assert.match(url.headers, /^location: http:\/\/example\.com\/a\?b=%20c$/im);
  const prefix = await web('/moved/x?y=z');
  assert.is(prefix.status, 307);
  assert.match(prefix.headers, /^location: http:\/\/example\.com\/p\/moved\/x\?y=z$/im);
  assert.is((await web('/two', '--header', 'X-Second: yes')).echo().member, second);
  assert.is((await web('/two', '--header', 'X-Second: no')).echo().member, first, 'all rules have to match');
});

test('rules look at what they name, in every way of comparing, and values are taken literally', async () => {
  const strange = `it's "quoted" #1 \\d %[src] $HOME`;
  const rules: [Partial<L7RuleNode>, matching: string[], other: string[]][] = [
    [
      { type: 'HOST_NAME', value: 'Shop.example.com' },
      ['--header', 'Host: shop.EXAMPLE.com'],
      ['--header', 'Host: x'],
    ],
    [
      { type: 'HOST_NAME', compareType: 'REGEX', value: '^(a|b)\\.test$' },
      ['--header', 'Host: b.test'],
      ['--header', 'Host: bxtest'],
    ],
    [
      { type: 'FILE_TYPE', value: 'jpg' },
      ['--request-target', '/a/b.jpg?x'],
      ['--request-target', '/a.png?jpg'],
    ],
    [
      { type: 'FILE_TYPE', compareType: 'REGEX', value: '\\.(gif|png)$' },
      ['--request-target', '/a.png'],
      ['--request-target', '/a.pngx'],
    ],
    [
      { type: 'HEADER', key: 'X-Text', value: strange },
      ['--header', `X-Text: ${strange}`],
      ['--header', 'X-Text: it'],
    ],
    [
      { type: 'HEADER', key: "x-it's#$!", compareType: 'STARTS_WITH', value: '-f' },
      ['--header', "X-It's#$!: -f x"],
      ['--header', 'X-It: -f x'],
    ],
    [
      { type: 'COOKIE', key: 'stage', compareType: 'CONTAINS', value: 'blu' },
      ['--cookie', 'a=b; stage=blue'],
      ['--cookie', 'a=blue'],
    ],
    [
      { type: 'PATH', compareType: 'REGEX', value: '^/v[0-9]+/(?!private)' },
      ['--request-target', '/v12/public'],
      ['--request-target', '/v12/private'],
    ],
  ];
  for (const [rule, matching, other] of rules) {
    await serve({ l7policies: policies([{ action: 'REJECT' }, rule]) }, members(echoMember(1)));
    assert.is((await web('/', ...matching)).status, 403, `${JSON.stringify(rule)} matches`);
    assert.is((await web('/', ...other)).status, 200, `${JSON.stringify(rule)} does not match`);
  }
});

test('fifty rules fit into one policy', async () => {
  const rules = Array.from({ length: 50 }, (_, index) => ({
    id: uuid(700 + index),
    type: 'HEADER' as const,
    key: 'X-Never',
    value: `'${index}'`.repeat(60),
    invert: true,
  }));
  await serve({ l7policies: policies([{ action: 'REJECT' }, ...rules]) }, members(echoMember(1)));
  assert.is((await web()).status, 403);
});

test('members hear who the client is, and not from the client', async () => {
  const names = [
    'X-Forwarded-For',
    'X-Forwarded-Port',
    'X-Forwarded-Proto',
    'X-Forwarded-IP',
    'X-Client-IP',
    'X-Real-IP',
  ];
  await serve(
    { insertHeaders: Object.fromEntries(names.map((name) => [name, 'true'])) },
    members(echoMember(1)),
  );
  const { headers } = (
    await web('/', '--header', 'X-Real-IP: 1.2.3.4', '--header', 'X-Forwarded-Proto: https')
  ).echo();
  assert.is(headers['x-forwarded-for'], CLIENT);
  assert.is(headers['x-forwarded-port'], '80');
  assert.is(headers['x-forwarded-proto'], 'http');
  for (const name of ['x-forwarded-ip', 'x-client-ip', 'x-real-ip']) assert.is(headers[name], CLIENT, name);
});

test('members of PROXY pools hear of the client in either version', async () => {
  const proxied = (protocol: 'PROXY' | 'PROXYV2') =>
    pool({ protocol, members: [echoMember(1, { protocolPort: 8081 })] });
  await serve({ protocol: 'TCP' }, proxied('PROXY'));
  const first = Buffer.from((await web('/')).text, 'hex').toString('latin1');
  assert.match(first, /^PROXY TCP4 10\.94\.0\.100 10\.94\.0\.10 \d+ 80\r\n/);
  await serve({ protocol: 'HTTP' }, proxied('PROXYV2'));
  assert.match((await web('/')).text, /^0d0a0d0a000d0a515549540a21110/);
});

test('cookies of haproxy and of the application keep a client at its member', async () => {
  const jar = ['--cookie-jar', `${stand.directory}/jar`, '--cookie', `${stand.directory}/jar`];
  const sticky = (type: 'HTTP_COOKIE' | 'APP_COOKIE', cookie_name: string | null): PoolNode => ({
    ...members(echoMember(1), echoMember(2)),
    sessionPersistence: { type, cookie_name, persistence_timeout: null, persistence_granularity: null },
  });
  await serve({}, sticky('HTTP_COOKIE', null));
  assert.is(new Set(await answers(5, ...jar)).size, 1);
  assert.is(new Set(await answers(2)).size, 2, 'without a cookie members take turns');

  await serve({}, sticky('APP_COOKIE', 'app'));
  const { member } = (await web('/login', ...jar)).echo();
  assert.equal(new Set(await answers(5, ...jar)), new Set([member]));
});

test('a source address is remembered, also by the process that a reload starts', async () => {
  const sticky: PoolNode = {
    ...members(echoMember(1), echoMember(2), echoMember(3)),
    sessionPersistence: {
      type: 'SOURCE_IP',
      cookie_name: null,
      persistence_timeout: null,
      persistence_granularity: null,
    },
  };
  await serve({}, sticky);
  const [first, ...others] = await answers(3);
  const [second] = await answers(1, '--interface', '10.94.0.101');
  assert.equal(new Set(others), new Set([first]));
  assert.is.not(second, first);
  const worker = await stand.worker();
  await serve({ connectionLimit: 100 }, sticky);
  assert.is.not(await stand.worker(), worker);
  assert.equal(new Set(await answers(3)), new Set([first]));
  assert.equal(new Set(await answers(3, '--interface', '10.94.0.101')), new Set([second]));
});

test('algorithms by source send one address to one member, and one address and port', async () => {
  const balanced = (lbAlgorithm: PoolNode['lbAlgorithm']) => ({
    ...members(echoMember(1), echoMember(2), echoMember(3)),
    lbAlgorithm,
  });
  await serve({}, balanced('SOURCE_IP'));
  assert.is(new Set(await answers(5)).size, 1);
  await serve({}, balanced('SOURCE_IP_PORT'));
  assert.ok(new Set(await answers(12)).size > 1, 'ports spread');
});

test('backup members answer only when no other can', async () => {
  const monitored = (...each: MemberNode[]): PoolNode => ({
    ...members(...each),
    healthMonitor: healthMonitor({ type: 'TCP', delay: 1, timeout: 1, maxRetries: 1, maxRetriesDown: 1 }),
  });
  const spare = echoMember(2, { backup: true });
  await serve({}, monitored(echoMember(1), spare));
  assert.equal(new Set(await answers(4)), new Set([MEMBERS[0]]));
  await serve({}, monitored(echoMember(1, { protocolPort: 8099 }), spare));
  await waitFor('the backup to answer', 5, async () => (await web()).status === 200 || undefined);
  assert.equal(new Set(await answers(4)), new Set([MEMBERS[1]]));
});

/** Status of each member of a backend, as haproxy sees it. */
async function statuses(): Promise<Map<string, string>> {
  const [header = '', ...rows] = (await stand.ask('show stat')).trim().split('\n');
  const column = header.split(',').indexOf('status');
  const columns = rows.map((row) => row.split(','));
  return new Map(columns.map((each) => [`${each[0]}/${each[1]}`, (each[column] ?? '').split(' ')[0] ?? '']));
}

test('every type of health monitor tells members that are well from members that are not', async () => {
  const quick = {
    delay: 1,
    timeout: 1,
    maxRetries: 1,
    maxRetriesDown: 1,
    urlPath: '/health',
    expectedCodes: '200-204',
  };
  const http = { ...quick, httpVersion: 1.1, domainName: 'health.example.com' };
  const well = (n: 1 | 2, parts: Partial<MemberNode> = {}) => echoMember(n, parts);
  const monitors: [Parameters<typeof healthMonitor>[0], MemberNode, MemberNode][] = [
    [{ ...quick, type: 'TCP' }, well(1), well(2, { protocolPort: 8099 })],
    [{ ...http, type: 'HTTP' }, well(1), well(2)],
    [{ ...http, type: 'HTTPS' }, well(1, { monitorPort: 8443 }), well(2, { monitorPort: 8443 })],
    // Without a name there is a Host all the same, which no member takes for its own: 400.
    [
      { ...http, type: 'HTTP', domainName: null, expectedCodes: '400' },
      well(1),
      well(2, { monitorPort: 8443 }),
    ],
    [{ ...quick, type: 'TLS-HELLO' }, well(1, { monitorPort: 8443 }), well(2)],
    [{ ...quick, type: 'PING' }, well(1), well(2, { address: NOBODY })],
    [
      { ...quick, type: 'PING' },
      well(1, { address: NOBODY, monitorAddress: MEMBERS[2] }),
      well(2, { monitorAddress: NOBODY }),
    ],
    [{ ...quick, type: 'TCP' }, well(1, { monitorAddress: MEMBERS[2] }), well(2, { monitorAddress: NOBODY })],
  ];
  const sick = ['curl', '-s', '-X', 'PUT', `http://${MEMBERS[1]}:8080/health?500`];
  await stand.members.exec(sick);
  await stand.apply({
    listeners: monitors.map((_, index) =>
      listener({ id: uuid(100 + index), protocolPort: 80 + index, defaultPoolId: uuid(200 + index) }),
    ),
    pools: monitors.map(([monitor, up, down], index) =>
      pool({ id: uuid(200 + index), members: [up, down], healthMonitor: healthMonitor(monitor) }),
    ),
  });
  const expected = monitors.flatMap((_, index) => {
    const backend = `${uuid(200 + index)}:${uuid(100 + index)}`;
    return [
      [`${backend}/${uuid(30)}`, 'UP'],
      [`${backend}/${uuid(31)}`, 'DOWN'],
    ] as const;
  });
  const settled = async () => {
    const seen = await statuses();
    return expected.every(([name, status]) => seen.get(name) === status) || undefined;
  };
  await waitFor('members to be judged', 10, settled).catch(async () => {
    const seen = await statuses();
    assert.equal(
      Object.fromEntries(expected.map(([name]) => [name, seen.get(name)])),
      Object.fromEntries(expected),
    );
  });
});

test('a listener takes no more connections at once than its limit', async () => {
  await serve({ connectionLimit: 1 }, members(echoMember(1)));
  const slow = web('/slow');
  await sleep(300);
  const started = performance.now();
  assert.is((await web('/')).status, 200);
  assert.ok(performance.now() - started > 400, 'it had to wait for the other to end');
  await slow;
});

test('timeouts of members and clients are kept', async () => {
  const elapsed = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  await serve({ timeoutMemberData: 300, timeoutClientData: 400 }, members(echoMember(1)));
  assert.is((await web('/slow')).status, 504);
  const silence = `exec 3<>/dev/tcp/${VIP}/80 && cat <&3`;
  const idle = await elapsed(() =>
    stand.client.exec(['timeout', '5', 'bash', '-c', silence]).catch(() => ''),
  );
  assert.ok(idle > 350 && idle < 2_000, `an idle connection was closed after ${idle} ms`);
  await serve({ timeoutMemberConnect: 100 }, members(echoMember(1, { address: NOBODY })));
  const refused = await elapsed(async () => assert.is((await web()).status, 503));
  assert.ok(refused < 6_000, `nobody answered for ${refused} ms`);
});

test('a TCP listener passes on what it gets, and may have an HTTP pool', async () => {
  await serve({ protocol: 'TCP' }, { ...members(echoMember(1, { protocolPort: 8081 })), protocol: 'TCP' });
  assert.match(Buffer.from((await web('/x')).text, 'hex').toString(), /^GET \/x HTTP\/1\.1\r\n/);
  await serve({ protocol: 'TCP' }, members(echoMember(1)));
  assert.is((await web('/x')).echo().url, '/x');
});

test('haproxy itself tells its metrics', async () => {
  await serve({ protocol: 'PROMETHEUS', defaultPoolId: null });
  assert.match((await web('/metrics')).text, /^haproxy_process_start_time_seconds /m);
  assert.is((await web('/')).status, 404);
});

test.run();
