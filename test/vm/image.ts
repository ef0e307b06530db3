import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Namespace } from '../../src/cli/demo/namespace.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { LoadBalancerGraph, MemberNode } from '../../src/model/graph.ts';
import { renderHaproxy } from '../../src/render/haproxy.ts';
import { renderKeepalived } from '../../src/render/keepalived.ts';
import { lvsListeners, renderLvs } from '../../src/render/lvs.ts';
import { renderSecurityGroup } from '../../src/render/security-group.ts';
import {
  amphora as amphoraNode,
  healthMonitor,
  listener,
  loadBalancer,
  member,
  pool,
  uuid,
} from '../support/graph.ts';
import { createNamespace, serveText } from '../support/namespace.ts';
import { createTestPki } from '../support/test-pki.ts';
import { AmphoraVm } from './amphora-vm.ts';

// The amphora image boots, is driven over mutual TLS, and balances TCP, UDP and SCTP with Debian's kernel. Clients and members
// are namespaces of this host. `npm run test:image` builds the image first; not part of `npm test`, because that takes minutes.

const IMAGE = process.argv[2] ?? '';
const MAX_IMAGE_BYTES = 500e6;
/** Of `systemd-analyze security`: 10 is a unit without any limit. */
const MAX_EXPOSURE = 6;
/** linux/capability.h */
const CAPABILITIES: Record<string, number> = {
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
};
const VIP = '198.51.100.7';
const VIP6 = '2001:db8:94::7';
const NUMBERS = [1, 2] as const;
const bridge = `tb${randomBytes(3).toString('hex')}`;

let vm: AmphoraVm;
let client: Namespace;
const members: Namespace[] = [];
const servers: ChildProcess[] = [];

test.before(async () => {
  execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0']);
  execFileSync('ip', ['link', 'set', bridge, 'addrgenmode', 'none', 'up']);
  client = await createNamespace('client', bridge, [
    '198.51.100.100/24',
    '198.51.100.101/24',
    '2001:db8:94::100/64',
  ]);
  for (const number of NUMBERS) {
    const namespace = await createNamespace(`member${number}`, bridge, [
      `198.51.100.2${number}/24`,
      `2001:db8:94::2${number}/64`,
    ]);
    members.push(namespace);
    await serveText(namespace, 8080, `member-${number}`);
  }
  vm = await AmphoraVm.start(IMAGE, bridge);
  process.stdout.write(`agent answers after ${(await vm.untilReady()).toFixed(1)} s (emulated)\n`);
});
test.after(async () => {
  await vm?.stop();
  for (const server of servers) server.kill('SIGKILL');
  for (const namespace of [client, ...members]) await namespace?.remove();
  execFileSync('ip', ['link', 'delete', bridge]);
});

test('the image is small enough', () => {
  const { size } = statSync(IMAGE);
  process.stdout.write(`image: ${Math.round(size / 1e6)} MB\n`);
  assert.ok(size <= MAX_IMAGE_BYTES);
});

test('it boots, takes its files from the config drive, and answers over mutual TLS', async () => {
  const { api_version, haproxy_version, keepalived_version } = await vm.client.info(vm.target());
  assert.is(api_version, '1.0');
  assert.ok(haproxy_version && keepalived_version);
});

test('whoever has no certificate of its authority is refused', async () => {
  const stranger = await vm.clientOf(await createTestPki());
  const answer = await stranger.info(vm.target()).then(
    () => 'answered',
    () => 'refused',
  );
  await stranger.close();
  assert.is(answer, 'refused');
});

test('VIPs are plugged, keepalived takes them, and haproxy serves them on both families', async () => {
  await vm.client.plugVip(vm.target(), VIP, {
    subnet_cidr: '198.51.100.0/24',
    gateway: null,
    mac_address: vm.vipMac,
    vrrp_ip: '198.51.100.8',
    additional_vips: [{ ip_address: VIP6, subnet_cidr: '2001:db8:94::/64' }],
  });
  await vm.client.plugNetwork(vm.target(), {
    mac_address: vm.vipMac,
    fixed_ips: [{ ip_address: '2001:db8:94::8', subnet_cidr: '2001:db8:94::/64' }],
  });
  await push(graphOf([]));
  await waitFor('the VIPs', 60, async () => {
    const { vrrp_state } = await vm.client.details(vm.target());
    return vrrp_state === 'MASTER' ? true : undefined;
  });
  for (const host of [VIP, `[${VIP6}]`]) assert.match(await client.curl(`http://${host}/`, 10), /^member-/);
});

test('UDP reaches the members of each family, whichever address clients come from', async () => {
  for (const [index, namespace] of members.entries()) {
    serve(namespace, 'UDP6-RECVFROM:5353,ipv6only=0,fork', `SYSTEM:echo m${index + 1}`);
  }
  await push(graphOf(['UDP']));
  for (const target of [`UDP4:${VIP}:53`, `UDP6:[${VIP6}]:53`]) {
    assert.equal(await answers(() => askUdp(target), 8), ['m1', 'm2']);
  }
});

test('UDP from an address that is not allowed gets no answer', async () => {
  await push(graphOf(['UDP'], { allowedCidrs: ['198.51.100.101/32', '2001:db8:94::/64'] }));
  assert.is(await askUdp(`UDP4:${VIP}:53,bind=198.51.100.100`), '');
  await waitFor('an answer to an allowed address', 20, async () =>
    /^m/.test(await askUdp(`UDP4:${VIP}:53,bind=198.51.100.101`)) ? true : undefined,
  );
});

test('a member that does not take UDP any more gets none', async () => {
  await push(graphOf(['UDP'], {}, { type: 'UDP-CONNECT', delay: 1, timeout: 1, maxRetriesDown: 1 }));
  servers.shift()?.kill('SIGKILL');
  await waitFor('member 1 to be found out', 60, async () =>
    (await answers(() => askUdp(`UDP4:${VIP}:53`), 4)).join() === 'm2' ? true : undefined,
  );
  assert.equal(await answers(() => askUdp(`UDP6:[${VIP6}]:53`), 4), ['m2']);
});

test('SCTP associations are opened with the members of each family, and carry messages both ways', async () => {
  for (const [index, namespace] of members.entries()) {
    for (const family of [4, 6])
      serve(namespace, `IP${family}-RECVFROM:132,fork`, sctp(`answer ${index + 1}`));
  }
  await push(graphOf(['SCTP']));
  for (const target of [`IP4-SENDTO:${VIP}:132`, `IP6-SENDTO:[${VIP6}]:132`]) {
    assert.equal(await answers(() => askSctp(target), 6), ['1', '2']);
  }
});

test('a member that opens no SCTP association any more gets none', async () => {
  await push(graphOf(['SCTP'], {}, { type: 'SCTP', delay: 1, timeout: 2, maxRetriesDown: 1 }));
  assert.equal(await answers(() => askSctp(`IP4-SENDTO:${VIP}:132`), 6), ['1', '2']);
  for (const server of servers.splice(-4, 2)) server.kill('SIGKILL');
  await waitFor('member 1 to be found out', 60, async () =>
    (await answers(() => askSctp(`IP4-SENDTO:${VIP}:132`), 4)).join() === '2' ? true : undefined,
  );
});

test('a listener that is removed answers no more', async () => {
  const [only] = lvsListeners(graphOf(['SCTP']));
  await vm.client.deleteLvs(vm.target(), only?.id ?? '');
  await push(graphOf([]));
  assert.is(await askSctp(`IP4-SENDTO:${VIP}:132`), '');
});

test('the agent and all that it started have the capabilities of its unit and no others', async () => {
  const unit = await vm.inside('cat /etc/systemd/system/amphora-agent.service');
  const [names = ''] = /(?<=^CapabilityBoundingSet=).*$/m.exec(unit) ?? [];
  const wanted = names.split(' ').reduce((mask, name) => mask | (1 << (CAPABILITIES[name] ?? 31)), 0);
  const processes = await vm.inside(
    'for pid in $(cat /sys/fs/cgroup/system.slice/amphora-agent.service/cgroup.procs); do ' +
      'echo $(grep -E "^(Name|CapBnd|Seccomp):" /proc/$pid/status | cut -f2) $(cut -d " " -f 19 /proc/$pid/stat); done',
  );
  const found = processes
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  for (const [name, bounding, seccomp] of found) {
    assert.is(Number(`0x${bounding}`), wanted, name);
    assert.is(seccomp, '2', name);
  }
  // Node.js calls itself by its main thread.
  const started = ['MainThread', 'haproxy', 'keepalived', 'nft'];
  assert.equal([...new Set(found.map(([name]) => name))].sort(), started);
  // A busy machine must not keep it from its advertisements.
  assert.ok(found.some(([name, , , nice]) => name === 'keepalived' && nice === '-20'));
});

test('systemd finds the agent confined', async () => {
  const verdict = (await vm.inside('systemd-analyze security --no-pager amphora-agent | tail -n 1')).trim();
  process.stdout.write(`${verdict}\n`);
  assert.ok(Number(/: ([\d.]+) /.exec(verdict)?.[1]) < MAX_EXPOSURE);
});

test('what haproxy logs is in the journal', async () => {
  const { id, pools, listeners } = graphOf([]);
  const server = `${pools[0]?.id}:${listeners[0]?.id}/${pools[0]?.members[0]?.id}`;
  for (const verb of ['disable', 'enable']) {
    await vm.inside(`echo "${verb} server ${server}" | socat - /var/lib/octavia/${id}.sock`);
  }
  assert.match(
    await vm.inside('journalctl --no-pager -t haproxy'),
    new RegExp(`Server ${server} is going DOWN`),
  );
});

test('nothing in the image has failed, and an agent that dies is back with all that it ran', async () => {
  assert.is((await vm.inside('systemctl --failed --no-legend --plain')).trim(), '');
  await vm.inside('systemctl kill --signal=KILL --kill-whom=main amphora-agent');
  await vm.untilReady();
  assert.match(await client.curl(`http://${VIP}/`, 10), /^member-/);
  assert.is((await vm.client.details(vm.target())).vrrp_state, 'MASTER');
});

/** A load balancer with a web listener and one of each of these protocols. */
function graphOf(
  protocols: ('UDP' | 'SCTP')[],
  changes: { allowedCidrs?: string[] } = {},
  monitor?: Parameters<typeof healthMonitor>[0],
): LoadBalancerGraph {
  const membersAt = (port: number): MemberNode[] =>
    NUMBERS.flatMap((number) => [
      member({ id: uuid(100 + number), address: `198.51.100.2${number}`, protocolPort: port }),
      member({ id: uuid(110 + number), address: `2001:db8:94::2${number}`, protocolPort: port }),
    ]);
  const ports = { UDP: [53, 5353], SCTP: [2905, 2905] } as const;
  return loadBalancer({
    vip: { address: VIP, subnetId: uuid(90), networkId: uuid(91), portId: uuid(92) },
    additionalVips: [{ address: VIP6, subnetId: uuid(93), networkId: uuid(91), portId: uuid(92) }],
    topology: 'ACTIVE_STANDBY',
    amphorae: [
      amphoraNode({ id: vm.id, vrrpIp: '198.51.100.8', vrrpPriority: 100 }),
      // Which is never there.
      amphoraNode({ id: uuid(3), vrrpIp: '198.51.100.9', vrrpPriority: 90 }),
    ],
    listeners: [
      listener(),
      ...protocols.map((protocol) =>
        listener({
          id: uuid(ports[protocol][0]),
          protocol,
          protocolPort: ports[protocol][0],
          defaultPoolId: uuid(2_000 + ports[protocol][0]),
          ...changes,
        }),
      ),
    ],
    pools: [
      pool({ members: membersAt(8080) }),
      ...protocols.map((protocol) =>
        pool({
          id: uuid(2_000 + ports[protocol][0]),
          protocol,
          members: membersAt(ports[protocol][1]),
          healthMonitor: monitor ? healthMonitor(monitor) : null,
        }),
      ),
    ],
  });
}

/** What the controller does. */
async function push(graph: LoadBalancerGraph): Promise<void> {
  const [node] = graph.amphorae;
  assert.ok(node);
  const config = renderHaproxy(graph, node);
  const keepalived = renderKeepalived(graph, node);
  assert.ok(config && keepalived);
  await vm.client.uploadHaproxy(vm.target(), graph.id, config);
  await vm.client.reloadHaproxy(vm.target(), graph.id);
  await vm.client.setSecurityGroup(vm.target(), renderSecurityGroup(graph, node));
  await vm.client.uploadKeepalived(vm.target(), keepalived);
  await vm.client.reloadKeepalived(vm.target());
  for (const each of lvsListeners(graph)) {
    const lvs = renderLvs(graph, each);
    assert.ok(lvs);
    await vm.client.uploadLvs(vm.target(), each.id, lvs);
    await vm.client.reloadLvs(vm.target(), each.id);
  }
}

/** socat in a namespace until the end; what it runs has a line of its own there. */
function serve(namespace: Namespace, address: string, program: string): void {
  servers.push(
    spawn('ip', ['netns', 'exec', namespace.name, 'socat', address, program], { stdio: 'ignore' }),
  );
}

function sctp(command: string): string {
  return `EXEC:${process.execPath} ${join(import.meta.dirname, 'sctp.ts')} ${command}`;
}

/** The different answers to so many questions, sorted. */
async function answers(ask: () => Promise<string>, questions: number): Promise<string[]> {
  const given = new Set<string>();
  for (let question = 0; question < questions; question += 1) given.add(await ask());
  given.delete('');
  return [...given].sort();
}

async function askUdp(target: string): Promise<string> {
  return (await inClient(`echo ? | socat -t 2 - ${target}`)).trim();
}

let sourcePort = 7_000;

/** What whoever takes the association answers to a question, if the answer is sound. */
async function askSctp(target: string): Promise<string> {
  sourcePort += 1;
  const program = sctp(`ask ${sourcePort} 2905`);
  const answer = await inClient(`timeout 4 socat "${program}" ${target} 2>&1 | grep '^{'`);
  if (answer === '') return '';
  const { text, ...packet } = JSON.parse(answer);
  assert.equal(packet, { sourcePort: 2905, intact: true });
  return text;
}

async function inClient(script: string): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', client.name, 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 10_000,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  await once(child, 'close');
  return output;
}

test.run();
