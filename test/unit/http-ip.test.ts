import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { canonicalCidr, contains, familyOf, sameAddress } from '../../src/http/ip.ts';

test('a CIDR is stored as its network address', () => {
  for (const [given, expected] of [
    ['10.0.0.5/8', '10.0.0.0/8'],
    ['10.255.255.255/9', '10.128.0.0/9'],
    ['192.0.2.7/32', '192.0.2.7/32'],
    ['203.0.113.1/0', '0.0.0.0/0'],
    ['fd00::1/64', 'fd00::/64'],
    ['2001:DB8:0:0:8000::1/65', '2001:db8:0:0:8000::/65'],
    ['fe80::1/10', 'fe80::/10'],
    ['::ffff:10.1.2.3/104', '::ffff:10.0.0.0/104'],
    ['::1/128', '::1/128'],
    ['2001:db8::1/0', '::/0'],
  ] as const) {
    assert.is(canonicalCidr(given), expected, given);
  }
  for (const text of [
    '',
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0/8',
    'fd00::/129',
    'a/8',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
  ]) {
    assert.is(canonicalCidr(text), undefined, text);
  }
});

test('containment is by bits and never across families', () => {
  assert.ok(contains('10.0.0.0/8', '10.255.0.1'));
  assert.not(contains('10.0.0.0/8', '11.0.0.1'));
  assert.ok(contains('fd00::/8', 'fdff::1'));
  assert.not(contains('::/0', '10.0.0.1'));
  assert.not(contains('0.0.0.0/0', 'fd00::1'));
});

test('addresses are the same however they are written', () => {
  assert.ok(sameAddress('fd00::1', 'FD00:0:0::0001'));
  assert.not(sameAddress('fd00::1', 'fd00::2'));
  assert.equal([familyOf('10.0.0.1'), familyOf('::1')], [4, 6]);
});

test.run();
