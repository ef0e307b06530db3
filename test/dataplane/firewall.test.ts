// timeout: 180
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FirewallCounters, SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import {
  ask,
  BASE,
  CLIENT,
  CLIENT6,
  type FirewallStand,
  MEMBER,
  MEMBER_PORT,
  MEMBER_SIDE,
  MEMBER6,
  PEER,
  PEER6,
  startFirewallStand,
  VIP,
  VIP6,
} from '../support/firewall-stand.ts';

/**
 * The firewall on the real kernel. Octavia's specification of SR-IOV and its implementation differ in many places; these are
 * the rows of that list (the contract's D6) and where each is held:
 *
 *  1 stateless; answers of members on whichever interface: agent-traffic ("nothing is tracked"), load-balancer (members on the
 *    VIP's network), here "UDP and SCTP"
 *  2, 11 chains by role and interface: unit/agent-ruleset (golden files), here "a member's interface"
 *  3, 4 one endpoint, atomic: agent-traffic (200 replacements under load), here "10,000 networks"
 *  5, 27 nothing from outside becomes syntax: unit/agent-schemas, unit/agent-ruleset-properties
 *  6, 7 base port a VF, VIP port `normal`; vNIC types: contract/provider, contract/api-load-balancers
 *  8 a failed attach keeps its cause: dataplane/failures
 *  9 no trusted VF, no virtual MAC: unit/netns-virtual-functions, golden/keepalived
 * 10 tests: these
 * 12, 20 what is deleted or disabled closes: agent-traffic, load-balancer, unit/render-security-group, firewall-octavia
 * 13 no listeners yet: here "without listeners"
 * 14, 15, 16 VRRP of both families and haproxy's peers: here "peers"; AH is not used
 * 17 0.0.0.0/0 opens IPv4 only: here
 * 18, 23 VFs next to ordinary ports: firewall-octavia
 * 19 plugging again keeps additional VIPs: firewall-octavia
 * 21 a dead standby does not hold up changes for ever: unit/machine-paths (every state that waits has a deadline)
 * 22 security groups of ports are the cloud's: openstack/provider-openstack
 * 24 overlapping CIDRs in any order: unit/agent-cidr-set, unit/agent-ruleset
 * 25 a failing load leaves the old rules, also on disk: here
 * 26 the first rules are in force at once: agent-traffic, firewall-octavia
 * 28 rules of one address leave others alone: firewall-octavia
 * 29 other requests are answered while rules load: here
 * 30 any spelling of an address: agent-life
 * 31 nothing is added twice: here "UDP and SCTP"
 */

const directory = mkdtempSync(join(tmpdir(), 'amphorae-firewall-'));
const refusing = join(directory, 'refuse');
const linksUpAtFirstLoad = join(directory, 'links');
/** nft, but for a test it can be told to fail; and it notes which links are up when it is called for the first time. */
const NFT = `#!/bin/sh
[ -e ${linksUpAtFirstLoad} ] || ip -br link show up >${linksUpAtFirstLoad}
[ "$1" = -i ] || exec /usr/sbin/nft "$@"
while read -r line; do
  if [ -e ${refusing} ] && [ "$line" != "\${line#include}" ]; then echo 'Error: told to fail' >&2
  else echo "$line"; fi
done | /usr/sbin/nft -i
`;

const group: SecurityGroup = {
  revision: 1,
  vips: [VIP, VIP6],
  rules: [{ protocol: 'TCP', port: 80, allowed_cidrs: [`${CLIENT}/32`] }],
  vrrp_peers: [],
  members: [{ address: MEMBER, port: MEMBER_PORT, protocol: 'TCP' }],
};
const everyone = { protocol: 'TCP' as const, port: 81 };

let stand: FirewallStand;

test.before(async () => {
  const nft_path = join(directory, 'nft');
  writeFileSync(nft_path, NFT);
  chmodSync(nft_path, 0o755);
  stand = await startFirewallStand({ nft_path });
});
test.after(async () => {
  await stand?.stop();
  rmSync(directory, { recursive: true, force: true });
});

let revision = 1;
const set = (changes: Partial<SecurityGroup> = {}) => {
  revision += 1;
  return stand.amphora.client.setSecurityGroup(stand.amphora.target(), { ...group, ...changes, revision });
};
/** The rules in force, without counts, in an order that does not tell when what was made. */
const listing = async () =>
  (await stand.amphora.inDataPlane(['nft', '-s', 'list', 'ruleset'])).split('\n\n').sort().join('\n\n');
const tracked = async () => Number(await stand.amphora.inDataPlane(['conntrack', '-C']));
const counters = async (): Promise<FirewallCounters> =>
  (await stand.amphora.call('GET', '/1.0/security-group/counters')).json();

test('an amphora without listeners admits what its members answer, and itself', async () => {
  await set({ rules: [] });
  assert.is(await ask(stand.client, `http://${VIP}/`), undefined);
  const inside = (url: string) =>
    stand.amphora.inDataPlane(['curl', '--silent', '--max-time', '1', url]).then((text) => text.trim());
  assert.is(await inside(`http://${MEMBER}:${MEMBER_PORT}/`), 'member');
  assert.is(await inside('http://127.0.0.1:9999/'), 'itself');
});

test('0.0.0.0/0 opens IPv4 only, and ::/0 IPv6 only', async () => {
  await set({ rules: [{ ...everyone, port: 80, allowed_cidrs: ['0.0.0.0/0'] }] });
  assert.is(await ask(stand.client, `http://${VIP}/`), 'member');
  assert.is(await ask(stand.client, `http://[${VIP6}]/`), undefined);
  await set({ rules: [{ ...everyone, port: 80, allowed_cidrs: ['::/0'] }] });
  assert.is(await ask(stand.client, `http://${VIP}/`), undefined);
  assert.is(await ask(stand.client, `http://[${VIP6}]/`), 'member');
});

test('of many networks of one length each admits its own addresses, in either family, and none beside them', async () => {
  const others = Array.from({ length: 40 }, (_, index) => [
    `10.200.${2 * index}.0/25`,
    `2001:db8:${2 * index}::/64`,
  ]).flat();
  const allow = (own: string[]) =>
    set({ rules: [{ ...everyone, port: 80, allowed_cidrs: [...others, ...own] }] });
  const answers = async () => [
    await ask(stand.client, `http://${VIP}/`),
    await ask(stand.client, `http://[${VIP6}]/`),
  ];
  await allow(['10.96.0.0/25', '2001:db8:96::/64']);
  assert.match(await listing(), /ip saddr & 255\.255\.255\.128 (== )?@/);
  assert.equal(await answers(), ['member', 'member']);
  await allow(['10.96.0.128/25', '2001:db8:97::/64']);
  assert.equal(await answers(), [undefined, undefined]);
  await allow([`${CLIENT}/32`, `${CLIENT6}/128`]);
  assert.equal(await answers(), ['member', 'member']);
});

test("a member's interface takes answers only, whatever the listeners allow", async () => {
  await set({ rules: [everyone, { ...everyone, port: 9999 }] });
  for (const address of [MEMBER_SIDE, VIP]) {
    assert.is(await ask(stand.member, `http://${address}:9999/`), undefined, address);
    const asMember = ['--local-port', String(MEMBER_PORT + 1)];
    assert.is(await ask(stand.member, `http://${address}:81/`, ...asMember), undefined, address);
  }
});

test("peers reach VRRP and haproxy's peers port, in either family, and nobody else does", async () => {
  const open = { vrrp_peers: [PEER, PEER6] };
  await set(open);
  for (const host of [BASE, `[${VIP6}]`]) {
    assert.is(await ask(stand.peer, `http://${host}:1025/`), 'itself', host);
    assert.is(await ask(stand.peer, `http://${host}:9999/`), undefined, host);
    assert.is(await ask(stand.stranger, `http://${host}:1025/`), undefined, host);
  }
  const instances = [
    { from: PEER, to: BASE, address: '10.96.9.9/32' },
    { from: PEER6, to: VIP6, address: 'fe80::99/128' },
  ];
  for (const instance of instances) {
    await set({ vrrp_peers: ['10.96.0.99', '2001:db8:96::99'] });
    await advertising(instance, async () => {
      const { dropped, peers } = await counters();
      await waitFor(
        'advertisements to be dropped',
        15,
        async () => (await counters()).dropped.packets > dropped.packets + 10 || undefined,
      );
      assert.equal((await counters()).peers, peers);
      await set(open);
      await waitFor(
        'advertisements to pass',
        15,
        async () => (await counters()).peers.packets > peers.packets + 10 || undefined,
      );
    });
  }
});

/** Do something while a keepalived advertises from the peer. */
async function advertising(
  { from, to, address }: { from: string; to: string; address: string },
  task: () => Promise<void>,
): Promise<void> {
  const config = join(directory, 'keepalived.conf');
  writeFileSync(
    config,
    `global_defs {
  router_id peer
}
vrrp_instance test {
  interface eth0
  virtual_router_id 7
  priority 100
  version 3
  advert_int 0.05
  unicast_src_ip ${from}
  unicast_peer {
    ${to}
  }
  virtual_ipaddress {
    ${address}
  }
}
`,
  );
  const [parent, child] = ['parent', 'child'].map((name) => join(directory, `keepalived.${name}`));
  const keepalived = spawn('ip', [
    ...['netns', 'exec', stand.peer.name, 'keepalived', '--dont-fork', '--vrrp', '--log-console'],
    ...[`--use-file=${config}`, `--pid=${parent}`, `--vrrp_pid=${child}`],
  ]);
  try {
    await task();
  } finally {
    keepalived.kill('SIGTERM');
    await once(keepalived, 'exit');
  }
}

test('UDP and SCTP are tracked and translated for LVS while they have a listener, TCP never', async () => {
  const answers = (host: string) => ask(stand.client, `http://${host}/`);
  await set();
  const before = await listing();
  assert.is(await tracked(), 0);

  // The kernel's own translation of destinations stands in for LVS, which does its part in the same places.
  const lvs = `table inet lvs { chain to-member { type nat hook prerouting priority dstnat
    ip daddr ${VIP} udp dport 53 dnat ip to ${MEMBER}:5353
    ip6 daddr ${VIP6} udp dport 53 dnat ip6 to [${MEMBER6}]:5353
  }; }`;
  await stand.amphora.inDataPlane(['nft', lvs]);
  await stand.amphora.inDataPlane([
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
  ]);
  const member = echoUdp();
  try {
    assert.is(await askUdp(VIP), undefined);
    await set({
      rules: [...group.rules, { protocol: 'UDP', port: 53 }],
      members: [
        ...group.members,
        { address: MEMBER, port: 5353, protocol: 'UDP' },
        { address: MEMBER6, port: 5353, protocol: 'UDP' },
      ],
    });
    for (const host of [VIP, VIP6]) assert.is(await askUdp(host), 'echo hello', host);
    assert.is(await answers(VIP), 'member');
    const flows = await stand.amphora.inDataPlane(['conntrack', '-L', '-f', 'ipv4']);
    assert.match(flows, /^udp .*dport=53 /m);
    assert.not.match(flows, /^tcp /m);
    assert.is(await forwardedWithoutListener(), undefined, 'nothing else is forwarded');
    const translated = await listing();
    await set();
    assert.is(await askUdp(VIP), undefined);
    await set({
      rules: [...group.rules, { protocol: 'UDP', port: 53 }],
      members: [
        ...group.members,
        { address: MEMBER, port: 5353, protocol: 'UDP' },
        { address: MEMBER6, port: 5353, protocol: 'UDP' },
      ],
    });
    assert.is(await listing(), translated, 'nothing is added twice');
  } finally {
    member.kill('SIGKILL');
    await stand.amphora.inDataPlane(['nft', 'delete', 'table', 'inet', 'lvs']);
    await stand.amphora.inDataPlane([
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=0',
      'net.ipv6.conf.all.forwarding=0',
    ]);
  }
  await set();
  assert.is(await listing(), before);
  await stand.amphora.inDataPlane(['conntrack', '-F']).catch(() => {});
  assert.is(await answers(VIP), 'member');
  assert.is(await tracked(), 0);
});

const UDP_ECHO = `
const socket = require('dgram').createSocket('udp6');
socket.on('message', (text, { address, port }) => socket.send('echo ' + text, port, address));
socket.bind(5353, '::', () => console.log('ready'));
`;
const UDP_ASK = `
const [host] = process.argv.slice(1);
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
socket.on('message', (text) => { console.log(String(text)); process.exit(0); });
socket.send('hello', 53, host);
setTimeout(() => process.exit(1), 1000);
`;

function echoUdp() {
  return spawn('ip', ['netns', 'exec', stand.member.name, process.execPath, '-e', UDP_ECHO]);
}

function askUdp(host: string): Promise<string | undefined> {
  return stand.client.exec([process.execPath, '-e', UDP_ASK, host]).then(
    (text) => text.trim(),
    () => undefined,
  );
}

/** The client takes the amphora for a router to the members. */
async function forwardedWithoutListener(): Promise<string | undefined> {
  await stand.client.exec(['ip', 'route', 'add', '10.97.0.0/24', 'via', BASE]);
  await stand.member.exec(['ip', 'route', 'add', '10.96.0.0/24', 'via', MEMBER_SIDE]);
  return ask(stand.client, `http://${MEMBER}:${MEMBER_PORT}/`);
}

test('what listeners accept and drop is counted, each by itself, and outlives a change of their networks', async () => {
  await set({ rules: [...group.rules, everyone] });
  const of = async (port: number) => (await counters()).listeners.find((listener) => listener.port === port);
  const before = await of(80);
  assert.is(await ask(stand.client, `http://${VIP}/`), 'member');
  assert.is(await ask(stand.stranger, `http://${VIP}/`), undefined);
  await set({
    rules: [{ ...everyone, port: 80, allowed_cidrs: [`${CLIENT}/32`, '192.0.2.0/24'] }, everyone],
  });
  const after = await of(80);
  assert.is(after?.protocol, 'TCP');
  assert.ok((after?.accepted.packets ?? 0) >= (before?.accepted.packets ?? 0) + 4);
  assert.ok((after?.accepted.bytes ?? 0) > (before?.accepted.bytes ?? 0));
  assert.ok((after?.dropped.packets ?? 0) > (before?.dropped.packets ?? 0));
  assert.equal((await of(81))?.accepted, { packets: 0, bytes: 0 });
  const { dropped } = await counters();
  assert.is(await ask(stand.client, `http://${VIP}:9999/`), undefined);
  assert.ok((await counters()).dropped.packets > dropped.packets);
});

test('dropped packets are written down on request only, no more than so many, and not for ever', async () => {
  const request = (body: object) => stand.amphora.call('POST', '/1.0/security-group/drop-log', body, '1');
  const read = async () => (await stand.amphora.call('GET', '/1.0/security-group/drop-log')).json();
  await set();
  assert.equal(await read(), { active: false, packets: [] });
  assert.not.match(await listing(), /nftrace/);
  for (const [body, field] of [
    [{ seconds: 0 }, /^seconds: /],
    [{ per_second: 1_000 }, /^per_second: /],
    [{ forever: true }, /forever/],
  ] as const) {
    const refused = await request(body);
    assert.is(refused.status, 400);
    assert.match(refused.json().details, field);
  }

  assert.is((await request({ seconds: 3, per_second: 2 })).status, 200);
  const flood = Array.from({ length: 20 }, (_, index) =>
    ask(stand.stranger, `http://${VIP}:${2_000 + index}/`),
  );
  assert.is(await ask(stand.stranger, `http://${VIP}/`), undefined);
  await Promise.all(flood);
  const { active, packets } = await read();
  assert.ok(active);
  assert.ok(packets.length > 0 && packets.length < 15, `${packets.length} packets`);
  assert.match(
    packets[0].packet,
    /iif "eth1".*ip saddr 10\.96\.0\.200 ip daddr 10\.96\.0\.10 .*tcp dport \d+/,
  );
  await waitFor('the log to end', 10, async () => !(await read()).active || undefined);
  assert.not.match(await listing(), /nftrace/);
});

const networks = (count: number, offset: number) =>
  Array.from(
    { length: count },
    (_, index) => `10.${100 + ((index + offset) >> 8)}.${(index + offset) & 255}.0/25`,
  );

test('10,000 networks are replaced under load without one lost packet, and the agent answers meanwhile', async () => {
  const open = (offset: number) =>
    set({ rules: [{ ...everyone, allowed_cidrs: [`${CLIENT}/32`, ...networks(10_000, offset)] }] });
  await open(0);
  const lost = async () => {
    const { listeners } = await counters();
    return listeners[0]?.dropped.packets;
  };
  const before = await lost();
  const load = spawn('ip', [
    ...['netns', 'exec', stand.client.name, 'curl', '--silent', '--output', '/dev/null', '--no-keepalive'],
    ...['--parallel', '--parallel-max', '8', '--header', 'Connection: close'],
    ...['--write-out', '%{http_code}\n', `http://${VIP}:81/?[1-1000000]`],
  ]);
  let output = '';
  load.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const answered: boolean[] = [];
  for (let round = 1; round <= 10; round += 1) {
    let replacing = true;
    const replaced = open(round).finally(() => {
      replacing = false;
    });
    assert.is((await stand.amphora.call('GET', '/1.0/info')).status, 200);
    answered.push(replacing);
    await replaced;
  }
  load.kill();
  await once(load, 'close');
  assert.ok(answered.includes(true), 'information came before the rules were in force');
  const statuses = output.trim().split('\n').slice(0, -1);
  assert.ok(statuses.length > 100, `only ${statuses.length} requests were made`);
  assert.equal([...new Set(statuses)], ['200']);
  assert.is(await lost(), before, 'packets dropped');
});

test('rules that the kernel refuses leave the old ones in force, also after a restart', async () => {
  await set();
  const before = await listing();
  writeFileSync(refusing, '');
  const refused = await stand.amphora.call(
    'POST',
    '/1.0/security-group',
    { ...group, revision: 999, rules: [everyone] },
    '1',
  );
  rmSync(refusing);
  assert.is(refused.status, 500);
  assert.match(refused.json().details, /told to fail/);
  assert.is(await listing(), before);
  assert.is((await stand.amphora.call('GET', '/1.0/security-group')).json().revision, revision);
  assert.is(await ask(stand.client, `http://${VIP}/`), 'member');

  await stand.amphora.crash();
  rmSync(linksUpAtFirstLoad);
  await stand.plug();
  await stand.amphora.boot();
  await waitFor(
    'haproxy to serve again',
    10,
    async () => (await ask(stand.client, `http://${VIP}/`)) === 'member',
  );
  assert.is(await ask(stand.client, `http://${VIP}:81/`), undefined);
  assert.is((await stand.amphora.call('GET', '/1.0/security-group')).json().revision, revision);
});

test('at a boot the rules stand before any interface is up', () => {
  assert.ok(existsSync(linksUpAtFirstLoad));
  assert.is(readFileSync(linksUpAtFirstLoad, 'utf8'), '');
});

test.run();
