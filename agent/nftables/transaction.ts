import { LISTENERS, type NftChain, type NftSet, type Ruleset } from './ruleset.ts';
import { concat, goto, type Rule } from './statements.ts';

type Command = { [verb: string]: unknown };

/** A libnftables JSON document; `nft -j -f FILE` applies it as one transaction, wholly or not at all. */
export interface Transaction {
  nftables: Command[];
}

export const TABLE = { family: 'inet', name: 'amphora' };
const IN_TABLE = { family: TABLE.family, table: TABLE.name };

/** Build the table anew, whatever the kernel has. */
export function rebuild(ruleset: Ruleset): Transaction {
  return {
    nftables: [
      // `delete` fails on a missing table, so it is added first.
      { add: { table: TABLE } },
      { delete: { table: TABLE } },
      { add: { table: TABLE } },
      ...changeCounters('add', ruleset.counters),
      ...ruleset.sets.map(addSet),
      ...ruleset.chains.map(addChain),
      {
        add: { map: { ...IN_TABLE, name: LISTENERS, type: ['inet_proto', 'inet_service'], map: 'verdict' } },
      },
      ...changeElements('add', ruleset.listeners),
      ...ruleset.chains.flatMap(addRules),
    ],
  };
}

/**
 * Turn one content of the table into another without touching what is equal.
 *
 * Rebuilding is one transaction too, but not invisible: for an instant after the switch the kernel still runs
 * the old base chain, whose map has already lost its elements, next to the new one, and drops what meets both
 * (seen on Linux 6.18: within 200 replacements under load, a new connection had to send its SYN again).
 * A chain that stays changes its rules at the switch itself; so do base chains and map elements that stay.
 */
export function replace(previous: Ruleset, next: Ruleset): Transaction {
  const counters = compare(previous.counters, next.counters, ({ name }) => name);
  const sets = compare(previous.sets, next.sets, (set) => set.name);
  const chains = compare(previous.chains, next.chains, (chain) => chain.name);
  const listeners = compare(previous.listeners, next.listeners, ({ chain }) => chain);

  // A set that differs is another set of the same name; rules that look it up have to be written again.
  const replacedSets = sets.changed.map(({ name }) => `"@${name}"`);
  const usesReplaced = ({ rules }: NftChain) =>
    replacedSets.some((name) => JSON.stringify(rules).includes(name));
  const rewritten = [...chains.changed, ...chains.same.filter(usesReplaced)];
  return {
    nftables: [
      ...rewritten.map(({ name }) => ({ flush: { chain: { ...IN_TABLE, name } } })),
      ...changeElements('delete', listeners.gone),
      // Rules of a chain that goes may use others that go, so all are emptied first.
      ...chains.gone.map(({ name }) => ({ flush: { chain: { ...IN_TABLE, name } } })),
      ...chains.gone.map(({ name }) => ({ delete: { chain: { ...IN_TABLE, name } } })),
      ...[...sets.gone, ...sets.changed].map(({ name }) => ({ delete: { set: { ...IN_TABLE, name } } })),
      ...changeCounters('delete', counters.gone),
      ...changeCounters('add', counters.added),
      ...[...sets.changed, ...sets.added].map(addSet),
      ...chains.added.map(addChain),
      ...changeElements('add', listeners.added),
      ...[...rewritten, ...chains.added].flatMap(addRules),
    ],
  };
}

/** What became of the items of two lists; `changed` and `same` as they are in the second. */
function compare<T>(before: readonly T[], after: readonly T[], keyOf: (item: T) => string) {
  const old = new Map(before.map((item) => [keyOf(item), JSON.stringify(item)]));
  const kept = new Set(after.map(keyOf));
  const known = after.filter((item) => old.has(keyOf(item)));
  return {
    gone: before.filter((item) => !kept.has(keyOf(item))),
    added: after.filter((item) => !old.has(keyOf(item))),
    changed: known.filter((item) => old.get(keyOf(item)) !== JSON.stringify(item)),
    same: known.filter((item) => old.get(keyOf(item)) === JSON.stringify(item)),
  };
}

function addSet({ elem, ...set }: NftSet): Command {
  return { add: { set: { ...IN_TABLE, ...set, ...(elem.length > 0 && { elem }) } } };
}

function addChain({ name, base }: NftChain): Command {
  return { add: { chain: { ...IN_TABLE, name, ...base } } };
}

function addRules({ name, rules }: NftChain): Command[] {
  return rules.map((expr: Rule) => ({ add: { rule: { ...IN_TABLE, chain: name, expr } } }));
}

function changeCounters(verb: 'add' | 'delete', counters: Ruleset['counters']): Command[] {
  return counters.map(({ name }) => ({ [verb]: { counter: { ...IN_TABLE, name } } }));
}

function changeElements(verb: 'add' | 'delete', listeners: Ruleset['listeners']): Command[] {
  if (listeners.length === 0) return [];
  const elem = listeners.map(({ protocol, port, chain }) => [
    concat(protocol.toLowerCase(), port),
    goto(chain),
  ]);
  return [{ [verb]: { element: { ...IN_TABLE, name: LISTENERS, elem } } }];
}
