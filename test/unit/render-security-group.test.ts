import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { renderSecurityGroup } from '../../src/render/security-group.ts';
import { amphora, healthMonitor, listener, loadBalancer, member, pool, uuid } from '../support/graph.ts';

test('a listener opens its port, for those whom it allows', () => {
  const graph = loadBalancer({ listeners: [listener({ allowedCidrs: ['192.0.2.0/24'] })] });
  assert.equal(renderSecurityGroup(graph, amphora()).rules, [
    { allowed_cidrs: ['192.0.2.0/24'], protocol: 'TCP', port: 80 },
  ]);
});

test('what is switched off, on its way out or withheld opens nothing', () => {
  const closed = [
    listener({ adminStateUp: false }),
    listener({ provisioningStatus: 'PENDING_DELETE' }),
    listener({ withheld: true }),
  ];
  assert.equal(renderSecurityGroup(loadBalancer({ listeners: closed }), amphora()).rules, []);
  assert.equal(renderSecurityGroup(loadBalancer({ adminStateUp: false }), amphora()).rules, []);
});

test('members may answer, also where only their health is asked', () => {
  const pools = [
    pool({ members: [member({ monitorPort: 9000 })], healthMonitor: healthMonitor() }),
    pool({ id: uuid(21), members: [member({ id: uuid(35), address: '203.0.113.77' })] }),
  ];
  assert.equal(renderSecurityGroup(loadBalancer({ pools }), amphora()).members, [
    { address: '203.0.113.11', port: 8080, protocol: 'TCP' },
    { address: '203.0.113.11', port: 9000, protocol: 'TCP' },
  ]);
});

test('members may answer a check in its own protocol, whatever their pool speaks', () => {
  const checked = (type: 'TCP' | 'PING' | 'UDP-CONNECT') =>
    renderSecurityGroup(
      loadBalancer({
        listeners: [listener({ protocol: 'UDP' })],
        pools: [pool({ protocol: 'UDP', members: [member()], healthMonitor: healthMonitor({ type }) })],
      }),
      amphora(),
    );
  const endpoint = (protocol: string) => ({ address: '203.0.113.11', port: 8080, protocol });
  assert.equal(checked('TCP').members, [endpoint('UDP'), endpoint('TCP')]);
  assert.equal(checked('UDP-CONNECT').members, [endpoint('UDP')]);
  assert.equal(checked('PING').members, [endpoint('UDP')]);
  assert.equal(checked('PING').pinged, ['203.0.113.11']);
});

test('peers are the other amphorae that are in service', () => {
  const peer = amphora({ id: uuid(3), vrrpIp: '198.51.100.9' });
  const silent = amphora({ id: uuid(4), vrrpIp: '198.51.100.10', status: 'FAILOVER_STOPPED' });
  const building = amphora({ id: uuid(5), vrrpIp: '198.51.100.11', status: 'BOOTING' });
  const graph = loadBalancer({ topology: 'ACTIVE_STANDBY', amphorae: [amphora(), peer, silent, building] });
  assert.equal(renderSecurityGroup(graph, amphora()).vrrp_peers, ['198.51.100.9', '198.51.100.10']);
});

test('what is rendered is what the agent takes', () => {
  assert.ok(SecurityGroup.safeParse(renderSecurityGroup(loadBalancer(), amphora())).success);
});

test.run();
