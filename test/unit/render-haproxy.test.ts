import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { peerName } from '../../src/amphora-api/peer-name.ts';
import type {
  L7PolicyNode,
  L7RuleNode,
  ListenerNode,
  LoadBalancerGraph,
  SessionPersistence,
} from '../../src/model/graph.ts';
import { haproxyListeners } from '../../src/render/desired.ts';
import { renderHaproxy } from '../../src/render/haproxy.ts';
import { expandCodes } from '../../src/render/haproxy-backend.ts';
import {
  renderCertificateLists,
  TlsFiles,
  type TlsReference,
  tlsPath,
  tlsReferences,
} from '../../src/render/tls-files.ts';
import { assertGolden } from '../support/golden.ts';
import {
  amphora,
  healthMonitor,
  l7policy,
  l7rule,
  listener,
  loadBalancer,
  member,
  pool,
  uuid,
} from '../support/graph.ts';
import { checkHaproxy } from '../support/haproxy-config.ts';
import { createTestPki } from '../support/test-pki.ts';

const persistence = (type: SessionPersistence['type'], cookie: string | null = null): SessionPersistence => ({
  type,
  cookie_name: cookie,
  persistence_timeout: null,
  persistence_granularity: null,
});

const https = {
  protocol: 'TERMINATED_HTTPS',
  protocolPort: 443,
  defaultTlsContainerRef: 'file:www.p12',
} as const;
const certificateHeaders = ['Verify', 'Has-Cert', 'DN', 'CN', 'SHA1', 'Not-Before', 'Not-After'];
const allHeaders = [
  ...[
    'X-Forwarded-For',
    'X-Forwarded-Port',
    'X-Forwarded-Proto',
    'X-Forwarded-IP',
    'X-Client-IP',
    'X-Real-IP',
  ],
  ...certificateHeaders.map((name) => `X-SSL-Client-${name}`),
  'X-SSL-Issuer',
];
const insertAll = Object.fromEntries(allHeaders.map((name) => [name, 'true']));
const pair = [
  amphora({ role: 'MASTER' }),
  amphora({ id: uuid(3), role: 'BACKUP', vrrpIp: '2001:db8::9' }),
  amphora({ id: uuid(4), status: 'PENDING_DELETE', vrrpIp: '198.51.100.10' }),
];

/** A listener with a policy for each list of rules. */
function policies(...each: [Partial<L7PolicyNode>, ...Partial<L7RuleNode>[]][]): LoadBalancerGraph {
  const l7policies = each.map(([policy, ...rules], index) =>
    l7policy({
      id: uuid(50 + index),
      position: index + 1,
      rules: rules.map((rule, place) => l7rule({ id: uuid(600 + 10 * index + place), ...rule })),
      ...policy,
    }),
  );
  return loadBalancer({
    listeners: [listener({ ...https, l7policies })],
    pools: [pool(), pool({ id: uuid(21), members: [member({ id: uuid(33) })] })],
  });
}

const cases: Record<string, LoadBalancerGraph> = {
  'http-two-members': loadBalancer(),
  'dual-stack': loadBalancer({
    additionalVips: [{ address: '2001:db8::7', subnetId: uuid(93), networkId: uuid(91), portId: uuid(92) }],
    pools: [pool({ members: [member(), member({ id: uuid(31), address: '2001:db8:1::12' })] })],
  }),
  'health-monitor-http': loadBalancer({
    pools: [pool({ healthMonitor: healthMonitor({ httpVersion: 1.1, domainName: 'www.example.com' }) })],
  }),
  'health-monitor-https': loadBalancer({
    pools: [
      pool({
        alpnProtocols: ['http/1.1'],
        healthMonitor: healthMonitor({
          type: 'HTTPS',
          httpMethod: 'HEAD',
          httpVersion: 1.1,
          expectedCodes: '200,204',
        }),
      }),
    ],
  }),
  'health-monitor-tcp': loadBalancer({ pools: [pool({ healthMonitor: healthMonitor({ type: 'TCP' }) })] }),
  'extremes-of-numbers': loadBalancer({
    listeners: [
      listener({
        connectionLimit: 2_147_483_647,
        timeoutClientData: 2_073_600_000,
        timeoutMemberConnect: 2_073_600_000,
        timeoutTcpInspect: 2_073_600_000,
      }),
      listener({ id: uuid(11), protocolPort: 81, connectionLimit: 0, defaultPoolId: uuid(21) }),
    ],
    pools: [
      pool({ healthMonitor: healthMonitor({ type: 'TCP', delay: 0, timeout: 0 }) }),
      pool({
        id: uuid(21),
        members: [member({ weight: 256 })],
        healthMonitor: healthMonitor({ type: 'TCP', delay: 2_147_483_647, timeout: 2_147_483_647 }),
      }),
    ],
  }),
  'health-monitor-ping': loadBalancer({
    pools: [
      pool({
        healthMonitor: healthMonitor({ type: 'PING' }),
        members: [member(), member({ id: uuid(31), monitorAddress: '2001:db8::31' })],
      }),
    ],
  }),
  'health-monitor-tls-hello-on-another-port': loadBalancer({
    listeners: [listener({ protocol: 'HTTPS', protocolPort: 443 })],
    pools: [
      pool({
        protocol: 'HTTPS',
        healthMonitor: healthMonitor({ type: 'TLS-HELLO' }),
        members: [member({ monitorAddress: '203.0.113.99', monitorPort: 8443 })],
      }),
    ],
  }),
  'persistence-cookie': loadBalancer({ pools: [pool({ sessionPersistence: persistence('HTTP_COOKIE') })] }),
  'persistence-app-cookie': loadBalancer({
    pools: [pool({ sessionPersistence: persistence('APP_COOKIE', 'JSESSIONID') })],
  }),
  'persistence-source-in-a-pair': loadBalancer({
    topology: 'ACTIVE_STANDBY',
    amphorae: pair,
    listeners: [listener({ protocol: 'TCP', protocolPort: 3306 })],
    pools: [
      pool({
        protocol: 'TCP',
        lbAlgorithm: 'LEAST_CONNECTIONS',
        sessionPersistence: persistence('SOURCE_IP'),
      }),
    ],
  }),
  'cookies-mean-nothing-in-tcp': loadBalancer({
    listeners: [listener({ protocol: 'TCP' })],
    pools: [pool({ protocol: 'TCP', sessionPersistence: persistence('HTTP_COOKIE') })],
  }),
  'http-pool-of-a-tcp-listener': loadBalancer({ listeners: [listener({ protocol: 'TCP' })] }),
  'inserted-headers': loadBalancer({
    listeners: [listener({ insertHeaders: { ...insertAll, 'X-Client-IP': 'false', 'X-Real-IP': 'True' } })],
  }),
  'inserted-headers-over-tls': loadBalancer({
    listeners: [listener({ ...https, insertHeaders: insertAll })],
  }),
  'proxy-backup-and-disabled-members': loadBalancer({
    listeners: [listener({ connectionLimit: 200, timeoutTcpInspect: 100 })],
    pools: [
      pool({
        protocol: 'PROXYV2',
        lbAlgorithm: 'SOURCE_IP_PORT',
        members: [
          member({ weight: 0 }),
          member({ id: uuid(31), backup: true }),
          member({ id: uuid(32), adminStateUp: false }),
        ],
      }),
    ],
  }),
  'proxy-v2-with-certificate-names': loadBalancer({
    listeners: [listener(https)],
    pools: [pool({ protocol: 'PROXYV2', lbAlgorithm: 'SOURCE_IP' })],
  }),
  'proxy-v1-of-a-tcp-listener': loadBalancer({
    listeners: [
      listener({ protocol: 'TCP', timeoutClientData: 0, timeoutMemberConnect: 0, timeoutMemberData: 0 }),
    ],
    pools: [pool({ protocol: 'PROXY' })],
  }),
  'tls-termination': loadBalancer({
    listeners: [
      listener({
        ...https,
        sniContainerRefs: ['file:shop.pem', 'file:www.p12'],
        tlsCiphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256',
        tlsVersions: ['TLSv1.2', 'TLSv1.3'],
        alpnProtocols: ['h2', 'http/1.1', 'http/1.0'],
        hstsMaxAge: 31_536_000,
        hstsIncludeSubdomains: true,
        hstsPreload: true,
      }),
    ],
  }),
  'tls-client-certificates': loadBalancer({
    listeners: [
      listener({
        ...https,
        clientCaTlsContainerRef: 'file:ca.pem',
        clientCrlContainerRef: 'file:crl.pem',
        clientAuthentication: 'MANDATORY',
      }),
      listener({
        ...https,
        id: uuid(11),
        protocolPort: 8443,
        clientCaTlsContainerRef: 'file:ca.pem',
        clientAuthentication: 'OPTIONAL',
      }),
    ],
  }),
  'tls-versions-with-a-gap': loadBalancer({
    listeners: [
      listener({ ...https, tlsVersions: ['SSLv3', 'TLSv1', 'TLSv1.2'] }),
      listener({ ...https, id: uuid(11), protocolPort: 444, tlsVersions: ['TLSv1', 'TLSv1.1', 'TLSv1.2'] }),
      listener({ ...https, id: uuid(12), protocolPort: 445, tlsCiphers: 'TLS_AES_128_GCM_SHA256' }),
    ],
  }),
  'tls-means-nothing-in-http': loadBalancer({
    listeners: [listener({ ...https, protocol: 'HTTP', tlsVersions: ['TLSv1.3'], hstsMaxAge: 5 })],
  }),
  're-encryption': loadBalancer({
    listeners: [listener(https)],
    pools: [
      pool({
        tlsEnabled: true,
        tlsContainerRef: 'file:client.p12',
        caTlsContainerRef: 'file:ca.pem',
        crlContainerRef: 'file:crl.pem',
        tlsCiphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
        tlsVersions: ['TLSv1.2', 'TLSv1.3'],
        alpnProtocols: ['h2', 'http/1.1'],
        healthMonitor: healthMonitor({ type: 'HTTPS' }),
      }),
    ],
  }),
  're-encryption-unverified': loadBalancer({
    listeners: [listener(https)],
    pools: [pool({ tlsEnabled: true, healthMonitor: healthMonitor({ type: 'TLS-HELLO' }) })],
  }),
  prometheus: loadBalancer({
    listeners: [
      listener({ protocol: 'PROMETHEUS', protocolPort: 8088, defaultPoolId: null }),
      listener({ ...https, id: uuid(11), protocol: 'PROMETHEUS', protocolPort: 8443, defaultPoolId: null }),
    ],
  }),
  'l7-actions': policies(
    [{ action: 'REJECT' }, { type: 'PATH', compareType: 'STARTS_WITH', value: '/private' }],
    [
      { action: 'REDIRECT_TO_POOL', redirectPoolId: uuid(21) },
      { type: 'HOST_NAME', value: 'shop.example.com' },
      { type: 'HEADER', key: 'X-Stage', value: 'canary', invert: true },
    ],
    [
      { action: 'REDIRECT_TO_URL', redirectUrl: 'https://example.com/100%25?a=b', redirectHttpCode: 308 },
      { type: 'PATH', value: '/old' },
    ],
    [
      { action: 'REDIRECT_PREFIX', redirectPrefix: 'https://example.com/v2' },
      { type: 'PATH', compareType: 'ENDS_WITH', value: '/v1' },
    ],
  ),
  'l7-rules': policies(
    ...(
      [
        { type: 'HOST_NAME', compareType: 'REGEX', value: '^(www|shop)\\.example\\.com$' },
        { type: 'PATH', compareType: 'CONTAINS', value: 'it\'s "quoted" #and -m $HOME' },
        { type: 'FILE_TYPE', compareType: 'EQUAL_TO', value: 'jpg' },
        { type: 'FILE_TYPE', compareType: 'REGEX', value: '(jpg|png)' },
        { type: 'HEADER', key: "X-It's#$!", compareType: 'STARTS_WITH', value: '-f /etc/passwd' },
        { type: 'COOKIE', key: 'session', compareType: 'EQUAL_TO', value: 'blue' },
        { type: 'SSL_CONN_HAS_CERT', value: 'true', invert: true },
        { type: 'SSL_VERIFY_RESULT', value: '0' },
        { type: 'SSL_DN_FIELD', key: 'CN', compareType: 'ENDS_WITH', value: 'line\nbreak' },
      ] as Partial<L7RuleNode>[]
    ).map((rule): [Partial<L7PolicyNode>, Partial<L7RuleNode>] => [{ action: 'REJECT' }, rule]),
  ),
  'l7-left-out': policies(
    [{ adminStateUp: false }, {}],
    [{}, { adminStateUp: false }],
    [{ provisioningStatus: 'PENDING_DELETE' }, {}],
    [{ action: 'REDIRECT_TO_POOL', redirectPoolId: uuid(99) }, {}],
    [{}, {}, { withheld: true }],
  ),
  'left-out': loadBalancer({
    listeners: [
      listener(),
      listener({ id: uuid(11), protocolPort: 81, adminStateUp: false }),
      listener({ id: uuid(12), protocolPort: 82, provisioningStatus: 'PENDING_DELETE' }),
      listener({ id: uuid(13), protocolPort: 83, withheld: true }),
      listener({ id: uuid(14), protocolPort: 84, protocol: 'UDP' }),
      listener({ id: uuid(15), protocolPort: 85, defaultPoolId: uuid(22) }),
    ],
    pools: [
      pool({ members: [member(), member({ id: uuid(31), withheld: true })] }),
      pool({ id: uuid(22), adminStateUp: false }),
    ],
  }),
};

const pki = await createTestPki();
const { cert, key } = await pki.issue('www.example.com');
/** What really lies behind the names, which the golden files need to be the same each time. */
const material: Record<TlsReference['purpose'], string> = {
  certificate: `${cert}\n${key}\n`,
  authorities: pki.ca,
  revocationList: await pki.revoke([]),
};

interface Rendered {
  config: string;
  /** Path -> content. */
  files: Map<string, string>;
}

function render(graph: LoadBalancerGraph): Rendered {
  const tls = new TlsFiles();
  const references = haproxyListeners(graph).flatMap((listener) => tlsReferences(graph, listener));
  for (const reference of references) tls.add(reference, `${reference.purpose} ${reference.ref}`);
  const contents = references.map((reference): [string, string] => [
    tls.nameOf(reference),
    material[reference.purpose],
  ]);
  const [first = amphora()] = graph.amphorae;
  const byName = [...contents, ...renderCertificateLists(graph, tls)];
  return {
    config: renderHaproxy(graph, first, tls) ?? '',
    files: new Map(byName.map(([name, content]) => [tlsPath(graph, name), content])),
  };
}

for (const [name, graph] of Object.entries(cases)) {
  test(`${name}: as in the golden file, and haproxy accepts it`, () => {
    const rendered = render(graph);
    assertGolden(`haproxy/${name}.cfg`, rendered.config);
    checkHaproxy(rendered.config, rendered.files);
  });
}

test('a machine that is tuned for it keeps its first CPU free of haproxy', () => {
  const linesOf = (cpu_count: number, active_tuned_profiles: string) =>
    renderHaproxy(loadBalancer(), amphora(), undefined, { machine: { cpu_count, active_tuned_profiles } })
      ?.split('\n')
      .filter((line) => /nbthread|cpu-map/.test(line))
      .map((line) => line.trim());
  assert.equal(linesOf(4, 'virtual-guest amphora'), ['nbthread 3', 'cpu-map auto:1/1-3 1-3']);
  assert.equal(linesOf(2, 'amphora'), ['nbthread 1', 'cpu-map auto:1/1-1 1-1']);
  assert.equal(linesOf(1, 'amphora'), []);
  assert.equal(linesOf(4, 'virtual-guest'), []);
});

test('TLS sessions get two fifths of the memory that connections leave free, where that is worth it', () => {
  const cacheOf = (free: number, changes: Partial<ListenerNode> = https) => {
    const graph = loadBalancer({ listeners: [listener({ connectionLimit: 1_000, ...changes })] });
    const memory = { total: 2e6, free, buffers: 1_000, cached: 2_000, swap_used: 0, shared: 0, slab: 0 };
    const config = renderHaproxy(graph, amphora(), undefined, { memory }) ?? '';
    return /tune\.ssl\.cachesize (\d+)/.exec(config)?.[1];
  };
  assert.is(cacheOf(1_029_000), '1600000');
  assert.is(cacheOf(29_000 + 12_503), '20004');
  assert.is(cacheOf(29_000 + 12_502), undefined);
  assert.is(cacheOf(1_029_000, {}), undefined, 'no listener terminates TLS');
});

test('a log of connections names the project and the load balancer, and says nothing of HTTP where there is none', () => {
  const graph = loadBalancer({
    projectId: "%[env(HOME)] ' x",
    listeners: [listener(), listener({ id: uuid(11), protocol: 'TCP', protocolPort: 81 })],
    pools: [pool()],
  });
  const config = renderHaproxy(graph, amphora(), undefined, { logConnections: true }) ?? '';
  checkHaproxy(config);
  assertGolden('haproxy/connection-log.cfg', config);
});

test('the certificates of a listener are listed, the default first, each once', () => {
  const graph = cases['tls-termination'] as LoadBalancerGraph;
  const lines = (render(graph).files.get(tlsPath(graph, `${uuid(10)}.pem`)) ?? '').trim().split('\n');
  assert.is(lines.length, 2);
  for (const line of lines)
    assert.match(line, /^\/var\/lib\/octavia\/certs\/[0-9a-f-]{36}\/[0-9a-f]{40}\.pem$/);
});

test('without a listener to serve there is no configuration', () => {
  assert.is(renderHaproxy(loadBalancer({ listeners: [] }), amphora()), undefined);
  assert.is(renderHaproxy(loadBalancer({ adminStateUp: false }), amphora()), undefined);
});

test('peers have names that haproxy takes', () => {
  const names = Array.from({ length: 500 }, (_, index) => peerName(uuid(index)));
  for (const name of names) assert.match(name, /^[A-Za-z0-9_][A-Za-z0-9_-]{26}$/);
  assert.is(new Set(names).size, names.length);
});

test('expected codes are expanded', () => {
  assert.equal(expandCodes('200'), ['200']);
  assert.equal(expandCodes('200, 202'), ['200', '202']);
  assert.equal(expandCodes('200-202'), ['200', '201', '202']);
  assert.equal(expandCodes('202-200'), ['200', '201', '202'], 'none at all would be every code');
});

test.run();
