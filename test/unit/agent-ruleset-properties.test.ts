import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { uniteCidrs } from '../../agent/nftables/cidr-set.ts';
import { admissionOf } from '../../agent/nftables/interface-rules.ts';
import { type FirewallInterface, renderRuleset } from '../../agent/nftables/ruleset.ts';
import { rebuild, replace, type Transaction } from '../../agent/nftables/transaction.ts';
import { InterfaceRuleList } from '../../src/amphora-api/interface-rules.ts';
import { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { address, cidrText, hostile } from '../support/hostile-text.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-ruleset-properties-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const INTERFACES: FirewallInterface[] = [
  { name: 'eth1', roles: ['vip', 'member'], filtered: true, addresses: ['10.0.0.7'], vips: ['10.0.0.5'] },
  { name: 'eth2', roles: ['member'], filtered: false, addresses: ['10.0.1.7'], vips: [] },
];

const port = fc.integer({ min: 1, max: 65_535 });
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP');
const list = <T>(items: fc.Arbitrary<T>) => fc.array(items, { maxLength: 6 });

const group = fc.record({
  revision: fc.nat(),
  vips: list(address),
  // Few ports, so that rules meet.
  rules: list(
    fc.record(
      {
        allowed_cidrs: fc.option(list(cidrText)),
        protocol,
        port: fc.constantFrom(80, 443, 65_535),
      },
      { requiredKeys: ['protocol', 'port'] },
    ),
  ),
  vrrp_peers: list(address),
  members: list(fc.record({ address, port, protocol })),
  pinged: list(address),
});

/** Each place of a security group that something hostile can be put in, and the field that has to be named. */
const PLACES: [string, (it: unknown) => object][] = [
  ['vips.0', (it) => ({ vips: [it] })],
  ['vrrp_peers.0', (it) => ({ vrrp_peers: [it] })],
  ['pinged.0', (it) => ({ pinged: [it] })],
  ['members.0.address', (it) => ({ members: [{ address: it, port: 80, protocol: 'TCP' }] })],
  ['members.0.protocol', (it) => ({ members: [{ address: '10.0.0.1', port: 80, protocol: it }] })],
  ['members.0.port', (it) => ({ members: [{ address: '10.0.0.1', port: it, protocol: 'TCP' }] })],
  ['rules.0.port', (it) => ({ rules: [{ port: it, protocol: 'TCP' }] })],
  ['rules.0.protocol', (it) => ({ rules: [{ port: 80, protocol: it }] })],
  ['rules.0.allowed_cidrs.0', (it) => ({ rules: [{ port: 80, protocol: 'TCP', allowed_cidrs: [it] }] })],
  ['revision', (it) => ({ revision: it })],
];
const EMPTY = { revision: 1, vips: [], rules: [], vrrp_peers: [], members: [] };

const plain = (addresses: string[]) =>
  SecurityGroup.parse({
    ...EMPTY,
    vips: addresses,
    vrrp_peers: addresses,
    pinged: addresses,
    members: addresses.map((address) => ({ address, port: 80, protocol: 'TCP' })),
    rules: ['TCP', 'UDP', 'SCTP'].flatMap((protocol) => [
      { protocol, port: 80, allowed_cidrs: addresses.map((it) => `${it}/${it.includes(':') ? 128 : 32}`) },
      { protocol, port: 443 },
    ]),
  });
/** One address of each family, and several: those are sets. */
const ONE = plain(['10.0.0.1', '2001:db8::1']);
const SEVERAL = plain(['10.0.0.1', '10.0.0.3', '2001:db8::1', '2001:db8::3']);
/** Networks of one length, enough of them to be a set of that length; and one listener alone. */
const many = (protocol: string, vips: string[]) =>
  SecurityGroup.parse({
    ...EMPTY,
    vips,
    rules: [
      {
        protocol,
        port: 80,
        allowed_cidrs: [...Array(16).keys()].flatMap((it) => [
          `10.0.${2 * it}.0/24`,
          `2001:db8:${2 * it}::/48`,
        ]),
      },
    ],
  });
const MANY = ['TCP', 'UDP', 'SCTP'].flatMap((protocol) =>
  [[], ['10.0.0.1', '2001:db8::1']].map((vips) => many(protocol, vips)),
);
const PLAIN = [EMPTY, ONE, SEVERAL, ...MANY];

const ADDRESSES = '[0-9a-f.:]+(-[0-9a-f.:]+|/\\d+)?';

/** Commands without what is data in them: addresses, elements of sets and maps, digests, names of listeners. */
function shapesOf(commands: string): string[] {
  const data = (pattern: string) => new RegExp(`(?<=\\{ )${pattern}(, ${pattern})*(?= \\})`, 'g');
  return commands.split('\n').map((line) =>
    line
      .replace(data(`${ADDRESSES}( \\. (tcp|udp|sctp) \\. \\d+)?`), 'ELEMENTS')
      .replace(new RegExp(`(?<=addr |!= |& )${ADDRESSES} `), 'ADDRESSES ')
      .replace(/ size \d+;/, ' SIZE')
      .replace(/(?<=(tcp|udp|sctp) dport )\d+(?= meta iifgroup)/, 'PORT')
      .replace(data('(tcp|udp|sctp) \\. \\d+ : goto (tcp|udp|sctp)-\\d+'), 'ENTRIES')
      .replace(/-[0-9a-f]{10}(?= )/g, '-DIGEST')
      .replace(/\b(tcp|udp|sctp)-\d+/g, 'LISTENER'),
  );
}

/** Everything that is said to nft when nothing hostile goes in. */
const OURS = new Set(
  [...PLAIN, ...PLAIN.map((it) => ({ ...it, members: 'unknown' as const }))].flatMap((it) =>
    shapesOf(rebuild(renderRuleset(it, INTERFACES))),
  ),
);

function assertNoSyntax(commands: string): void {
  for (const shape of shapesOf(commands)) assert.ok(OURS.has(shape), shape);
}

test('whatever passes the schema has no character in a rule set that could be syntax', () => {
  fc.assert(
    fc.property(fc.constantFrom(...PLACES), hostile, ([field, place], it) => {
      const parsed = SecurityGroup.safeParse({ ...EMPTY, ...place(it) });
      if (!parsed.success) {
        assert.ok(parsed.error.issues[0]?.path.join('.').startsWith(field), `${field} is named`);
        return;
      }
      assertNoSyntax(rebuild(renderRuleset(parsed.data, INTERFACES)));
    }),
    { numRuns: 3_000 },
  );
});

test('an interface rule is taken or refused as a whole', () => {
  const rule = (it: unknown) => [
    { protocol: 'TCP', port: 80, cidr: it },
    { protocol: it, port: 80, cidr: null },
    { protocol: 'TCP', port: it, cidr: null },
  ];
  fc.assert(
    fc.property(fc.nat({ max: 2 }), hostile, (which, it) => {
      const parsed = InterfaceRuleList.safeParse([rule(it)[which]]);
      if (!parsed.success) return assert.is(parsed.error.issues[0]?.path[0], 0);
      const admission = admissionOf(
        { revision: 1, interface_rules: { '10.0.0.5': parsed.data } },
        INTERFACES,
      );
      assertNoSyntax(rebuild(renderRuleset(admission, INTERFACES)));
    }),
    { numRuns: 1_000 },
  );
});

test('an interval set holds no elements that overlap or touch, and every network that was given', () => {
  fc.assert(
    fc.property(list(cidrText), (cidrs) => {
      const united = uniteCidrs(cidrs);
      for (const intervals of [united[4], united[6]]) {
        for (const [index, { first, last }] of intervals.entries()) {
          const next = intervals[index + 1];
          assert.ok(first <= last && (!next || last + 1n < next.first));
        }
      }
      assert.equal(uniteCidrs(cidrs.toReversed()), united);
      for (const each of cidrs) {
        const alone = uniteCidrs([each]);
        for (const family of [4, 6] as const) {
          for (const { first, last } of alone[family]) {
            assert.ok(united[family].some((interval) => interval.first <= first && last <= interval.last));
          }
        }
      }
    }),
  );
});

test('the kernel takes any two rule sets, one after the other', () => {
  const groups = fc.sample(group, { numRuns: 40, seed: 4 }).map((it) => SecurityGroup.parse(it));
  const rulesets = groups.map((it) => renderRuleset(it, INTERFACES));
  const transactions = rulesets.flatMap((ruleset, index): Transaction[] => {
    const previous = rulesets[index - 1];
    if (!previous) return [rebuild(ruleset)];
    const { preparation, change } = replace(previous, ruleset);
    return [preparation, change];
  });
  const files = transactions.map((transaction, index) => {
    const file = join(directory, `${index}.nft`);
    writeFileSync(file, transaction);
    return file;
  });
  const script = 'for file; do nft -f "$file" || exit 1; done; nft -s list ruleset';
  const load = (paths: string[]) =>
    execFileSync('unshare', ['--net', 'sh', '-c', script, 'load', ...paths], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const last = join(directory, 'last.nft');
  writeFileSync(last, rebuild(rulesets.at(-1) as (typeof rulesets)[0]));
  const sorted = (listing: string) => listing.split(/[\s,]+/).sort();
  assert.equal(sorted(load(files)), sorted(load([last])));
});

test.run();
