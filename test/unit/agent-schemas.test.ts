import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { validateInterface } from '../../agent/interfaces/validate.ts';
import { readSettings } from '../../agent/settings.ts';
import { PlugNetwork, PlugVip } from '../../src/amphora-api/plug.ts';
import { SecurityGroup } from '../../src/amphora-api/security-group.ts';

const group = {
  revision: 1,
  vips: ['10.0.0.5'],
  rules: [{ protocol: 'TCP', port: 80, allowed_cidrs: ['10.0.0.0/8'] }],
  vrrp_peers: [],
  members: [{ address: '10.0.1.20', port: 8080, protocol: 'TCP' }],
};
const rule = (changes: object) => ({ ...group, rules: [{ ...group.rules[0], ...changes }] });
const cidr = (text: unknown) => rule({ allowed_cidrs: [text] });

const REFUSED_GROUPS: [string, unknown, string][] = [
  [
    'a line break in a CIDR',
    cidr('10.0.0.0/8\nadd rule inet amphora input accept'),
    'rules.0.allowed_cidrs.0',
  ],
  ['a trailing line break', cidr('10.0.0.0/8\n'), 'rules.0.allowed_cidrs.0'],
  ['a name of a set', cidr('@vips-4'), 'rules.0.allowed_cidrs.0'],
  ['an empty CIDR', cidr(''), 'rules.0.allowed_cidrs.0'],
  ['an address without prefix', cidr('10.0.0.1'), 'rules.0.allowed_cidrs.0'],
  ['a prefix that is too long', cidr('10.0.0.0/33'), 'rules.0.allowed_cidrs.0'],
  ['a prefix with a sign', cidr('10.0.0.0/+8'), 'rules.0.allowed_cidrs.0'],
  ['an address with a zone', cidr('fe80::1%eth0/64'), 'rules.0.allowed_cidrs.0'],
  ['a number for a CIDR', cidr(10), 'rules.0.allowed_cidrs.0'],
  ['port 0', rule({ port: 0 }), 'rules.0.port'],
  ['a port as text', rule({ port: '80' }), 'rules.0.port'],
  ['a protocol of no listener', rule({ protocol: 'icmp' }), 'rules.0.protocol'],
  ['an unknown key', rule({ action: 'accept' }), 'rules.0'],
  ['a host name', { ...group, vips: ['localhost'] }, 'vips.0'],
  ['a CIDR for an address', { ...group, vrrp_peers: ['10.0.0.0/8'] }, 'vrrp_peers.0'],
  [
    'an address with a zone',
    { ...group, members: [{ ...group.members[0], address: 'fe80::1%eth1' }] },
    'members.0.address',
  ],
];

for (const [what, body, field] of REFUSED_GROUPS) {
  test(`a security group with ${what} is refused by the name of the field`, () => {
    const parsed = SecurityGroup.safeParse(body);
    assert.is(parsed.error?.issues[0]?.path.join('.'), field);
  });
}

const vip = {
  subnet_cidr: '10.0.0.0/24',
  gateway: '10.0.0.1',
  mac_address: '02:00:00:00:00:01',
  vrrp_ip: '10.0.0.2',
};

test('plug bodies hold addresses only', () => {
  assert.ok(PlugVip.safeParse(vip).success);
  for (const changes of [
    { mac_address: '02:00:00:00:00:01 up' },
    { mac_address: '02-00-00-00-00-01' },
    { gateway: '10.0.0.1\nlink set lo down' },
    { subnet_cidr: 'default' },
    { host_routes: [{ destination: '10.9.0.0/16', nexthop: 'dev eth0' }] },
    { mtu: '1500' },
    { name: 'eth0' },
  ]) {
    assert.not(PlugVip.safeParse({ ...vip, ...changes }).success, JSON.stringify(changes));
  }
  assert.not(PlugNetwork.safeParse({ fixed_ips: [] }).success);
});

test('addresses fit their subnets and families', () => {
  const record = (changes: object) => ({
    ...{ name: 'eth1', mac_address: vip.mac_address, mtu: null, is_sriov: false, fixed_ips: [] },
    vip: { ...vip, vip: '10.0.0.5', ...changes },
  });
  validateInterface(record({}));
  const refused: [object, RegExp][] = [
    [{ gateway: '2001:db8::1' }, /^gateway: /],
    [{ vip: '2001:db8::5' }, /^vip: /],
    [{ vrrp_ip: '10.0.1.2' }, /^vrrp_ip: /],
    [{ vrrp_ip: null }, /^vrrp_ip: required/],
    [{ host_routes: [{ destination: '10.9.0.0/16', nexthop: '2001:db8::1' }] }, /^host_routes\.0\.nexthop: /],
    [
      { additional_vips: [{ ip_address: '2001:db8::5', subnet_cidr: '10.0.0.0/24' }] },
      /^additional_vips\.0\.ip_address: /,
    ],
  ];
  for (const [changes, problem] of refused) {
    let details: string | undefined;
    try {
      validateInterface(record(changes));
    } catch (error) {
      details = (error as { details: string }).details;
    }
    assert.match(details ?? '', problem);
  }
});

test('settings that cannot be read are refused by name', () => {
  assert.throws(
    () => readSettings('/nonexistent/agent.json'),
    /cannot read the agent settings \/nonexistent/,
  );
});

test.run();
