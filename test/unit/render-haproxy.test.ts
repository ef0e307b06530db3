import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoadBalancerGraph, SessionPersistence } from '../../src/model/graph.ts';
import { expandCodes, renderHaproxy } from '../../src/render/haproxy.ts';
import { assertGolden } from '../support/golden.ts';
import { healthMonitor, listener, loadBalancer, member, pool, uuid } from '../support/graph.ts';

const persistence = (type: SessionPersistence['type'], cookie: string | null = null): SessionPersistence => ({
  type,
  cookie_name: cookie,
  persistence_timeout: null,
  persistence_granularity: null,
});

const cases: Record<string, LoadBalancerGraph> = {
  'http-two-members': loadBalancer(),
  'dual-stack': loadBalancer({
    additionalVips: [{ address: '2001:db8::7', subnetId: uuid(93), networkId: uuid(91), portId: uuid(92) }],
    pools: [pool({ members: [member(), member({ id: uuid(31), address: '2001:db8:1::12' })] })],
  }),
  'health-monitor-http': loadBalancer({
    pools: [pool({ healthMonitor: healthMonitor({ httpVersion: 1.1, domainName: 'www.example.com' }) })],
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
  'persistence-source': loadBalancer({
    listeners: [listener({ protocol: 'TCP', protocolPort: 3306 })],
    pools: [
      pool({
        protocol: 'TCP',
        lbAlgorithm: 'LEAST_CONNECTIONS',
        sessionPersistence: persistence('SOURCE_IP'),
      }),
    ],
  }),
  'inserted-headers': loadBalancer({
    listeners: [
      listener({
        insertHeaders: { 'X-Forwarded-For': 'true', 'X-Forwarded-Port': 'True', 'X-Real-IP': 'true' },
      }),
    ],
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
  'left-out': loadBalancer({
    listeners: [
      listener(),
      listener({ id: uuid(11), protocolPort: 81, adminStateUp: false }),
      listener({ id: uuid(12), protocolPort: 82, provisioningStatus: 'PENDING_DELETE' }),
      listener({ id: uuid(13), protocolPort: 83, withheld: true }),
    ],
    pools: [pool({ members: [member(), member({ id: uuid(31), withheld: true })] })],
  }),
};

for (const [name, graph] of Object.entries(cases)) {
  test(`${name}: as in the golden file, and haproxy accepts it`, () => {
    const config = renderHaproxy(graph) ?? '';
    assertGolden(`haproxy/${name}.cfg`, config);
    check(config);
  });
}

test('a path cannot become syntax of haproxy', () => {
  const urlPath = `/a'b"c${'$'}{HOME} \\x#y`;
  const config =
    renderHaproxy(loadBalancer({ pools: [pool({ healthMonitor: healthMonitor({ urlPath }) })] })) ?? '';
  check(config);
});

test('without a listener to serve there is no configuration', () => {
  assert.is(renderHaproxy(loadBalancer({ listeners: [] })), undefined);
  assert.is(renderHaproxy(loadBalancer({ adminStateUp: false })), undefined);
});

test('expected codes are expanded', () => {
  assert.equal(expandCodes('200'), ['200']);
  assert.equal(expandCodes('200, 202'), ['200', '202']);
  assert.equal(expandCodes('200-202'), ['200', '201', '202']);
});

function check(config: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  try {
    const file = join(directory, 'haproxy.cfg');
    writeFileSync(file, config);
    execFileSync('haproxy', ['-c', '-q', '-f', file], { env: { PATH: '/usr/sbin:/usr/bin' }, stdio: 'pipe' });
  } catch (error) {
    assert.unreachable(
      `haproxy refuses the configuration: ${(error as { stderr: Buffer }).stderr}\n${config}`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test.run();
