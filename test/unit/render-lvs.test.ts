import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { HealthMonitorNode, ListenerNode, LoadBalancerGraph, PoolNode } from '../../src/model/graph.ts';
import { lvsListeners, renderLvs } from '../../src/render/lvs.ts';
import { assertGolden } from '../support/golden.ts';
import { healthMonitor, listener, loadBalancer, member, pool, uuid } from '../support/graph.ts';

const members = [
  member(),
  member({
    id: uuid(31),
    address: '203.0.113.12',
    weight: 0,
    monitorAddress: '203.0.113.99',
    monitorPort: 99,
  }),
  member({ id: uuid(32), address: '2001:db8:1::11', protocolPort: 5353 }),
  member({ id: uuid(33), address: '203.0.113.13', adminStateUp: false }),
];

function graphWith(
  parts: { listener?: Partial<ListenerNode>; pool?: Partial<PoolNode>; monitor?: Partial<HealthMonitorNode> },
  graph: Partial<LoadBalancerGraph> = {},
): LoadBalancerGraph {
  return loadBalancer({
    additionalVips: [
      { address: '2001:db8::7', subnetId: uuid(93), networkId: uuid(91), portId: uuid(92) },
      { address: '198.51.100.70', subnetId: uuid(94), networkId: uuid(91), portId: uuid(92) },
    ],
    listeners: [listener({ protocol: 'UDP', protocolPort: 53, ...parts.listener })],
    pools: [
      pool({
        protocol: 'UDP',
        members,
        healthMonitor: parts.monitor ? healthMonitor(parts.monitor) : null,
        ...parts.pool,
      }),
    ],
    ...graph,
  });
}

function rendered(graph: LoadBalancerGraph): string | undefined {
  const [only] = lvsListeners(graph);
  return only && renderLvs(graph, only);
}

const cases: Record<string, LoadBalancerGraph> = {
  'udp-plain': graphWith({}),
  'udp-persistence': graphWith({
    listener: { connectionLimit: 100 },
    pool: {
      lbAlgorithm: 'LEAST_CONNECTIONS',
      sessionPersistence: {
        type: 'SOURCE_IP',
        cookie_name: null,
        persistence_timeout: 60,
        persistence_granularity: '255.255.255.0',
      },
    },
    monitor: { type: 'UDP-CONNECT' },
  }),
  'udp-source-and-port': graphWith({ pool: { lbAlgorithm: 'SOURCE_IP_PORT' }, monitor: { type: 'TCP' } }),
  'udp-http-monitor': graphWith({
    pool: { lbAlgorithm: 'SOURCE_IP' },
    monitor: { type: 'HTTP', urlPath: '/a b#{"$X"}?ü=%20', domainName: 'example.org', httpVersion: 1.1 },
  }),
  sctp: graphWith({
    listener: { protocol: 'SCTP', protocolPort: 2905 },
    pool: { protocol: 'SCTP' },
    monitor: { type: 'SCTP' },
  }),
};

for (const [name, graph] of Object.entries(cases)) {
  test(`${name}: as in the golden file, and keepalived accepts it`, () => {
    const config = rendered(graph) ?? '';
    assertGolden(`lvs/${name}.conf`, config);
    check(config);
  });
}

test('what has nothing to serve has no configuration', () => {
  const nothing = [
    graphWith({ listener: { adminStateUp: false } }),
    graphWith({ listener: { defaultPoolId: null } }),
    graphWith({ pool: { adminStateUp: false } }),
    graphWith({ pool: { members: [] } }),
    graphWith({}, { adminStateUp: false }),
    graphWith({ listener: { provisioningStatus: 'PENDING_DELETE' } }),
  ];
  for (const graph of nothing) assert.is(rendered(graph), undefined);
});

test('listeners of haproxy are not for LVS', () => {
  assert.equal(lvsListeners(loadBalancer()), []);
});

/** keepalived enters the data-plane namespace, so there has to be one, where nobody else sees it. */
function check(config: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const file = join(directory, 'keepalived.conf');
  const script = 'mount -t tmpfs tmpfs /run && ip netns add amphora-haproxy && exec keepalived -t -f "$0"';
  try {
    // The check scripts are the agent's, and not on this host.
    writeFileSync(file, config.replaceAll(/misc_path "\S+sctp_check.sh/g, 'misc_path "/usr/bin/true'));
    execFileSync('unshare', ['--net', '--mount', 'sh', '-c', script, file], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: 'pipe',
    });
  } catch (error) {
    assert.unreachable(`keepalived refuses it: ${(error as { stderr: Buffer }).stderr}\n${config}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test.run();
