// timeout: 120
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ask,
  BASE,
  CLIENT,
  type FirewallStand,
  MEMBER_SIDE,
  PEER,
  startFirewallStand,
  VIP,
  VIP_MAC,
  VIP6,
} from '../support/firewall-stand.ts';

// An Octavia controller drives this amphora: no epochs, no security groups, rules by the address of an interface. The VIP's
// port is a VF, the member's is not (the list in firewall.test.ts: rows 12, 18, 19, 23, 26, 28).

let stand: FirewallStand;

test.before(async () => {
  stand = await startFirewallStand({ firewall: 'sriov' }, { vip: true });
});
test.after(() => stand?.stop());

const put = (ip: string, rules: unknown) =>
  stand.amphora.call('PUT', `/1.0/interface/${ip}/rules`, JSON.stringify(rules), '1');
const tcp = (port: number, cidr: string | null) => ({ protocol: 'TCP', cidr, port });
const web = [tcp(80, `${CLIENT}/32`), tcp(80, '2001:db8:96::100/128')];
const reaches = (port = 80) => ask(stand.client, `http://${VIP}:${port}/`);

test('a VF is closed until its first rules, which are in force when they are answered', async () => {
  assert.is(await reaches(), undefined);
  const answer = await put(BASE, web);
  assert.is(answer.status, 200);
  assert.equal(answer.json(), { message: 'OK' });
  assert.is(await reaches(), 'member', 'the member is behind an ordinary port');
  assert.is(await ask(stand.client, `http://[${VIP6}]/`), 'member');
  assert.is(await ask(stand.stranger, `http://${VIP}/`), undefined);
  assert.is(await reaches(81), undefined);
});

test('rules of one address leave those of another in force, and replace their own, in any spelling', async () => {
  assert.is((await put(MEMBER_SIDE, [tcp(9999, null)])).status, 200);
  assert.is(await reaches(), 'member');
  assert.is((await put(VIP6, [tcp(81, null)])).status, 200);
  assert.is(await reaches(81), 'itself');
  assert.is(await reaches(), 'member');
  assert.is((await put('2001:0db8:0096:0000:0000:0000:0000:0010', [])).status, 200);
  assert.is(await reaches(81), undefined);
  assert.is(await reaches(), 'member');
});

test('peers are named by rules of their own', async () => {
  assert.is(await ask(stand.peer, `http://${BASE}:1025/`), undefined);
  await put(BASE, [...web, { protocol: 'vrrp', cidr: `${PEER}/32`, port: 112 }]);
  assert.is(await ask(stand.peer, `http://${BASE}:1025/`), 'itself');
  assert.is(await ask(stand.stranger, `http://${BASE}:1025/`), undefined);
  assert.is(await reaches(), 'member');
});

test('answers of members that nobody has named come in, their connections do not', async () => {
  assert.is(await ask(stand.client, `http://${BASE}:9999/`), undefined);
  const asMember = ['--local-port', '8080'];
  assert.is(await ask(stand.client, `http://${BASE}:9999/`, ...asMember), undefined);
  assert.is((await stand.amphora.inDataPlane(['conntrack', '-L', '-p', 'tcp'])).trim(), '');
});

test('a network that is plugged on the VIP takes nothing from its additional VIPs', async () => {
  const subnet_cidr = '10.96.0.0/24';
  const answer = await stand.amphora.call(
    'POST',
    '/1.0/plug/network',
    {
      mac_address: VIP_MAC,
      is_sriov: true,
      fixed_ips: [{ ip_address: '10.98.0.5', subnet_cidr: '10.98.0.0/24' }],
      vip_net_info: {
        vip: VIP,
        subnet_cidr,
        gateway: null,
        mac_address: VIP_MAC,
        vrrp_ip: BASE,
        is_sriov: true,
      },
    },
    '1',
  );
  assert.is(answer.status, 202);
  assert.is(await ask(stand.client, `http://[${VIP6}]/`), 'member');
  assert.is(await reaches(), 'member');
});

test('what is wrong is refused with the name of the field, and changes nothing', async () => {
  const injected = `${CLIENT}/32 tcp dport 81 accept\n accept`;
  const refused: [unknown, RegExp][] = [
    [{ rules: [] }, /^body: /],
    [[{ ...tcp(80, null), protocol: 'HTTP' }], /^0\.protocol: /],
    [[tcp(80, null), tcp(0, null)], /^1\.port: /],
    [[tcp(65_536, null)], /^0\.port: /],
    [[tcp(80, '')], /^0\.cidr: /],
    [[tcp(80, injected)], /^0\.cidr: /],
    [[tcp(80, '10.0.0.0/33')], /^0\.cidr: /],
    [[{ protocol: 'TCP', port: 80 }], /^0\.cidr: /],
    [[{ ...tcp(80, null), action: 'accept' }], /^0: /],
  ];
  for (const [rules, details] of refused) {
    const answer = await put(BASE, rules);
    assert.is(answer.status, 400, details.source);
    assert.is(answer.json().message, 'Invalid request');
    assert.match(answer.json().details, details);
  }
  assert.is((await put('eth1', web)).status, 400);
  assert.is((await put('10.96.0.99', web)).status, 404);
  assert.is(await reaches(81), undefined);
  assert.is(await reaches(), 'member');
});

test('an empty list closes', async () => {
  assert.is((await put(BASE, [])).status, 200);
  assert.is(await reaches(), undefined);
  assert.is((await put(BASE, web)).status, 200);
  assert.is(await reaches(), 'member');
});

test('a security group takes the place of all interface rules, and the other way round', async () => {
  const { amphora } = stand;
  await amphora.client.setSecurityGroup(amphora.target(), {
    ...{ revision: 9, vips: [VIP], vrrp_peers: [], members: [] },
    rules: [{ protocol: 'TCP', port: 81 }],
  });
  assert.is(await reaches(81), 'itself');
  assert.is(await reaches(), undefined);
  await put(BASE, web);
  assert.is(await reaches(81), undefined);
  assert.is(await reaches(), 'member');
});

test.run();
