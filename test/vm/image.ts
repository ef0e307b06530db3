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

test('a VIP is plugged, and haproxy serves it on both families', async () => {
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

test('SCTP associations are opened with the members of each family', async () => {
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
    amphorae: [amphoraNode({ id: vm.id, vrrpIp: '198.51.100.8' })],
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
  assert.ok(config);
  await vm.client.uploadHaproxy(vm.target(), graph.id, config);
  await vm.client.reloadHaproxy(vm.target(), graph.id);
  await vm.client.setSecurityGroup(vm.target(), renderSecurityGroup(graph, node));
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

/** The tag of whoever answers an INIT, if the answer is sound. */
async function askSctp(target: string): Promise<string> {
  const program = `${process.execPath} ${join(import.meta.dirname, 'sctp.ts')}`;
  sourcePort += 1;
  const answer = await inClient(
    `${program} init ${sourcePort} 2905 | socat -t 2 - ${target} | ${program} show`,
  );
  if (answer === '') return '';
  const { type, sourcePort: from, tag, intact } = JSON.parse(answer);
  assert.equal({ type, from, intact }, { type: 2, from: 2905, intact: true });
  return String(tag);
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
