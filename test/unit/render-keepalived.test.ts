import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { renderKeepalived } from '../../src/render/keepalived.ts';
import { assertGolden } from '../support/golden.ts';
import { amphora, loadBalancer, uuid } from '../support/graph.ts';

const master = amphora({ role: 'MASTER', vrrpPriority: 100 });
const backup = amphora({ id: uuid(3), role: 'BACKUP', vrrpIp: '198.51.100.9', vrrpPriority: 90 });
const pair = loadBalancer({
  topology: 'ACTIVE_STANDBY',
  amphorae: [master, backup],
  additionalVips: [
    { address: '2001:db8::7', subnetId: uuid(93), networkId: uuid(91), portId: uuid(92) },
    { address: '198.51.100.70', subnetId: uuid(94), networkId: uuid(91), portId: uuid(92) },
  ],
});

test('a pair: as in the golden file, and keepalived accepts it', () => {
  const config = renderKeepalived(pair, master) ?? '';
  assertGolden('keepalived/pair-master.conf', config);
  check(config);
});

test('a pair whose own addresses are IPv6: as in the golden file, and keepalived accepts it', () => {
  const [one, other] = [amphora({ vrrpIp: '2001:db8::8' }), amphora({ id: uuid(3), vrrpIp: '2001:db8::9' })];
  const config = renderKeepalived({ ...pair, amphorae: [one, other] }, one) ?? '';
  assertGolden('keepalived/pair-ipv6.conf', config);
  check(config);
});

test('both ends of a pair have different priorities', () => {
  const priority = (node: typeof master) => /priority \d+/.exec(renderKeepalived(pair, node) ?? '')?.[0];
  assert.equal([priority(master), priority(backup)], ['priority 100', 'priority 90']);
});

test('of a pair, the one in step outbids the one that is excluded, whichever it is, and speaks to it', () => {
  for (const [inStep, other] of [
    [master, backup],
    [backup, master],
  ] as const) {
    const excluded = { ...other, status: 'ERROR' as const };
    const graph = { ...pair, amphorae: [inStep, excluded] };
    const config = renderKeepalived(graph, inStep) ?? '';
    const bid = (text: string) => Number(/priority (\d+)\n/.exec(text)?.[1]);
    assert.ok(bid(config) > bid(renderKeepalived(graph, excluded) ?? ''));
    assert.ok(bid(config) < 255);
    assert.match(config, `unicast_peer {\n        ${other.vrrpIp}\n`);
    check(config);
  }
});

test('one that is only silent is a peer as ever', () => {
  const silent = { ...backup, status: 'FAILOVER_STOPPED' as const };
  assert.is(
    renderKeepalived({ ...pair, amphorae: [master, silent] }, master),
    renderKeepalived(pair, master),
  );
});

test('a single amphora has no VRRP', () => {
  assert.is(renderKeepalived(loadBalancer(), amphora()), undefined);
});

/** keepalived looks the interface up, so there has to be one: in a namespace that ends with the check. */
function check(config: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const file = join(directory, 'keepalived.conf');
  const script = 'ip link add eth1 type veth peer name peer1 && exec keepalived -t -f "$0"';
  try {
    writeFileSync(file, config);
    execFileSync('unshare', ['--net', 'sh', '-c', script, file], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: 'pipe',
    });
  } catch (error) {
    assert.unreachable(
      `keepalived refuses the configuration: ${(error as { stderr: Buffer }).stderr}\n${config}`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test.run();
