import { existsSync } from 'node:fs';
import { type Finding, fail, ok, probe, warn } from './check.ts';

/** Everything is tried in a namespace that ends with the program: the host does not notice. */
const inNamespace = ['unshare', '--net'] as const;

const firewall = `
table inet doctor {
  counter accepted { }
  set sources { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }
  chain listener { ip saddr @sources counter name "accepted" meta mark set 1 accept; }
  map listeners { type inet_proto . inet_service : verdict; elements = { tcp . 80 : jump listener }; }
  chain raw { type filter hook prerouting priority raw; policy drop; notrack; meta l4proto . th dport vmap @listeners; }
  chain input { type filter hook input priority filter; policy drop; meta mark 1 accept; }
}
`;

/** What the netns provider asks of the kernel. */
export async function checkKernel(): Promise<Finding[]> {
  const findings = await Promise.all([
    attempt('namespaces', 'network, mount and process namespaces', [
      'unshare',
      '--net',
      '--mount',
      '--pid',
      '--fork',
      'true',
    ]),
    attempt('veth', 'normal ports', [
      ...inNamespace,
      'ip',
      'link',
      'add',
      'veth0',
      'type',
      'veth',
      'peer',
      'name',
      'veth1',
    ]),
    attempt('bridge', 'networks', [...inNamespace, 'ip', 'link', 'add', 'br0', 'type', 'bridge']),
    attempt('nftables', 'sets, verdict maps, notrack', [...inNamespace, 'nft', '-f', '-'], firewall),
    checkMacvlan(),
  ]);
  return [...findings, checkIpv6()];
}

async function attempt(
  name: string,
  detail: string,
  command: [string, ...string[]],
  input = '',
): Promise<Finding> {
  try {
    await probe(command, input);
    return ok(name, detail);
  } catch (error) {
    return fail(
      name,
      (error as Error).message,
      `the kernel must support ${name} and this process must be allowed to use it`,
    );
  }
}

async function checkMacvlan(): Promise<Finding> {
  const links =
    'link add veth0 type veth peer name veth1\nlink add macvlan0 link veth0 type macvlan mode bridge\n';
  try {
    await probe([...inNamespace, 'ip', '-batch', '-'], links);
    return ok('macvlan', 'stand-ins for VFs');
  } catch (error) {
    return warn(
      'macvlan',
      (error as Error).message,
      'without it, direct ports need an SR-IOV NIC (see --netns-direct)',
    );
  }
}

function checkIpv6(): Finding {
  if (existsSync('/proc/net/if_inet6')) return ok('ipv6', 'enabled');
  return fail('ipv6', 'disabled', 'the management network is IPv6: boot without ipv6.disable=1');
}
