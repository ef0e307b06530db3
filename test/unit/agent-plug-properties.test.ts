import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { planInterface } from '../../agent/interfaces/plan.ts';
import type { InterfaceRecord } from '../../agent/interfaces/record.ts';
import { validateInterface } from '../../agent/interfaces/validate.ts';
import { PlugNetwork } from '../../src/amphora-api/plug.ts';
import { hostile } from '../support/hostile-text.ts';

// `ip` reads the plan of an interface as lines of words.

const MAC = '02:00:00:00:00:01';
const FIXED = { ip_address: '10.0.1.7', subnet_cidr: '10.0.1.0/24' };
const VIP = {
  vip: '10.0.0.5',
  subnet_cidr: '10.0.0.0/24',
  gateway: '10.0.0.1',
  mac_address: MAC,
  vrrp_ip: '10.0.0.2',
};
const ROUTE = { destination: '10.9.0.0/16', nexthop: '10.0.0.3' };
const ADDITIONAL = { ip_address: '2001:db8::5', subnet_cidr: '2001:db8::/64' };

const fixed = (changes: object) => ({ fixed_ips: [{ ...FIXED, ...changes }] });
const vip = (changes: object) => ({ fixed_ips: [], vip_net_info: { ...VIP, ...changes } });

/** Each place that something hostile can be put in, and the field that has to be named. */
const PLACES: [string, (it: unknown) => object][] = [
  ['mac_address', (it) => ({ mac_address: it, fixed_ips: [] })],
  ['mtu', (it) => ({ mtu: it, fixed_ips: [] })],
  ['fixed_ips.0.ip_address', (it) => fixed({ ip_address: it })],
  ['fixed_ips.0.subnet_cidr', (it) => fixed({ subnet_cidr: it })],
  ['fixed_ips.0.host_routes.0.nexthop', (it) => fixed({ host_routes: [{ ...ROUTE, nexthop: it }] })],
  ['vip_net_info.vip', (it) => vip({ vip: it })],
  ['vip_net_info.subnet_cidr', (it) => vip({ subnet_cidr: it })],
  ['vip_net_info.gateway', (it) => vip({ gateway: it })],
  ['vip_net_info.vrrp_ip', (it) => vip({ vrrp_ip: it })],
  ['vip_net_info.host_routes.0.destination', (it) => vip({ host_routes: [{ ...ROUTE, destination: it }] })],
  [
    'vip_net_info.additional_vips.0.ip_address',
    (it) => vip({ additional_vips: [{ ...ADDITIONAL, ip_address: it }] }),
  ],
];

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

test('whatever passes as an interface is addresses and networks to ip, and nothing else', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.constantFrom(...PLACES), hostile, ([field, place], it) => {
      const parsed = PlugNetwork.safeParse({ mac_address: MAC, ...place(it) });
      if (!parsed.success) {
        assert.ok(parsed.error.issues[0]?.path.join('.').startsWith(field), `${field} is named`);
        return;
      }
      const { mac_address, mtu, fixed_ips, vip_net_info } = parsed.data;
      assert.match(mac_address, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
      const record = { name: 'eth1', mac_address, mtu, is_sriov: false, fixed_ips, vip: vip_net_info };
      try {
        validateInterface(record as InterfaceRecord);
      } catch {
        return;
      }
      taken += 1;
      for (const text of textsOf(planInterface(record as InterfaceRecord, 'SINGLE'))) {
        assert.match(text, /^[0-9a-f.:]+(\/\d+)?$/);
      }
    }),
    { numRuns: 3_000, examples: [[['vip_net_info.gateway', (it) => vip({ gateway: it })], '10.0.0.9']] },
  );
  assert.ok(taken > 0);
});

test.run();
