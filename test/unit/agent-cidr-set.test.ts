import { isIPv6 } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatAddress, parseAddress } from '../../agent/ip-address.ts';
import { isWholeFamily, networksOf, uniteCidrs } from '../../agent/nftables/cidr-set.ts';

/** mulberry32: the same numbers in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** The last 8 bits of an address vary, so that every address can be tried. */
const WORLDS = [
  { family: 4, cidr: (last: number, length: number) => `10.0.0.${last}/${24 + length}` },
  { family: 6, cidr: (last: number, length: number) => `2001:db8::${last.toString(16)}/${120 + length}` },
] as const;

for (const { family, cidr } of WORLDS) {
  test(`IPv${family}: the union holds exactly the addresses of its CIDRs, in whatever order and overlap`, () => {
    const random = generator(family);
    for (let round = 0; round < 500; round++) {
      const chosen = Array.from({ length: random(12) }, () => ({ last: random(256), length: random(9) }));
      const expected = new Set<number>();
      for (const { last, length } of chosen) {
        const size = 2 ** (8 - length);
        const first = last - (last % size);
        for (let address = first; address < first + size; address++) expected.add(address);
      }
      const intervals = uniteCidrs(chosen.map(({ last, length }) => cidr(last, length)))[family];
      const base = parseAddress(cidr(0, 8).split('/')[0] ?? '').value;
      const held = intervals.flatMap(({ first, last }) =>
        Array.from({ length: Number(last - first) + 1 }, (_, index) => Number(first - base) + index),
      );
      assert.equal(
        held,
        [...expected].sort((a, b) => a - b),
      );
      const networks = intervals.flatMap((interval) => networksOf(interval, family));
      const again = networks.map(
        ({ first, prefix }) => `${formatAddress({ family, value: first })}/${prefix}`,
      );
      assert.equal(uniteCidrs(again)[family], intervals, 'its networks are what it consists of');
      for (const [index, interval] of intervals.entries()) {
        const previous = intervals[index - 1];
        assert.ok(!previous || interval.first > previous.last + 1n, 'intervals neither overlap nor touch');
      }
    }
  });
}

test('the families do not mix, and only a whole family is everyone', () => {
  const all = uniteCidrs(['0.0.0.0/0', '10.0.0.0/8']);
  assert.ok(isWholeFamily(all[4], 4));
  assert.equal(all[6], []);
  assert.ok(isWholeFamily(uniteCidrs(['::/1', '8000::/1'])[6], 6));
  assert.not(isWholeFamily(uniteCidrs(['0.0.0.0/1'])[4], 4));
});

test('10,000 CIDRs take less than a second', () => {
  const random = generator(7);
  const octet = () => random(256);
  const cidrs = Array.from({ length: 10_000 }, () => `${octet()}.${octet()}.${octet()}.0/${16 + random(17)}`);
  const start = performance.now();
  uniteCidrs(cidrs);
  assert.ok(performance.now() - start < 1_000);
});

test('an address is the same in every spelling', () => {
  const spellings = ['2001:db8::1', '2001:DB8:0:0:0:0:0:1', '2001:0db8:0000:0000:0000:0000:0.0.0.1'];
  for (const text of spellings) assert.is(formatAddress(parseAddress(text)), '2001:db8:0:0:0:0:0:1');
  assert.is(formatAddress(parseAddress('192.0.2.255')), '192.0.2.255');
  for (const text of ['::', '::1', '1::', 'fe80::1:2', '::ffff:192.0.2.1', '1:2:3:4:5:6:7:8']) {
    const formatted = formatAddress(parseAddress(text));
    assert.ok(isIPv6(formatted));
    assert.is(new URL(`http://[${formatted}]`).host, new URL(`http://[${text}]`).host);
  }
});

test.run();
