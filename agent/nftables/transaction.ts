import type { NftChain, NftMap, Outline, Ruleset } from './ruleset.ts';
import type { NftSet } from './sets.ts';
import { list } from './statements.ts';

/** Commands of nft, a line each, that `nft -f FILE` applies as one transaction, wholly or not at all. Empty: nothing to do. */
export type Transaction = string;

export const TABLE = 'inet amphora';

/** Build the table anew, whatever the kernel has. */
export function rebuild(ruleset: Ruleset): Transaction {
  return transaction([
    // `delete` fails on a missing table, so it is added first.
    `add table ${TABLE}`,
    `delete table ${TABLE}`,
    `add table ${TABLE}`,
    ...ruleset.counters.map((name) => command('add', 'counter', name)),
    ...ruleset.sets.map(addSet),
    ...ruleset.chains.map(addChain),
    ...ruleset.maps.map(({ name, type }) => command('add', 'map', name, ` { type ${type} : verdict; }`)),
    ...ruleset.maps.flatMap(({ name, elem }) => changeElements('add', name, elem)),
    ...ruleset.chains.flatMap(addRules),
  ]);
}

/** A change in two transactions. */
export interface Replacement {
  /** Makes what no rule uses yet: nothing is admitted or refused that was not before. */
  preparation: Transaction;
  /** Takes that back, if the change fails. */
  withdrawal: Transaction;
  /** Takes all rules from the old to the new at once. */
  change: Transaction;
}

/**
 * Turn one content of the table into another without touching what is equal.
 *
 * Rebuilding is one transaction too, but not invisible. For an instant after the switch the kernel still runs the old base
 * chain, whose maps have already lost their elements, next to the new one. And a set that is made by the transaction which
 * brings its first rule misses a few of the lookups of its first microseconds (seen on Linux 6.18: one packet of 60,000 a
 * second each time). So sets are made beforehand; a chain that stays changes its rules at the switch itself; and so do base
 * chains and elements that stay.
 */
export function replace(previous: Outline, next: Ruleset): Replacement {
  const counters = compare(previous.counters, next.counters, (name) => name);
  const sets = compare(previous.sets, next.sets, ({ name }) => name);
  // An earlier agent may have had a chain of that name at another hook.
  const chains = compare(previous.chains, next.chains, ({ name, base }) => JSON.stringify([name, base]));
  const changed = chains.kept.filter(([before, after]) => JSON.stringify(before) !== JSON.stringify(after));
  const rewritten = changed.map(([, after]) => after);
  const maps = next.maps.map(({ name, elem }) => {
    const before = previous.maps.find((map) => map.name === name)?.elem ?? [];
    return { name, ...compare(before, elem, (element) => JSON.stringify(element)) };
  });
  return {
    preparation: transaction(sets.added.map(addSet)),
    withdrawal: transaction(sets.added.map(({ name }) => command('delete', 'set', name))),
    change: transaction([
      ...rewritten.map(({ name }) => command('flush', 'chain', name)),
      ...maps.flatMap(({ name, gone }) => changeElements('delete', name, gone)),
      // Rules of a chain that goes may use others that go, so all are emptied first.
      ...chains.gone.map(({ name }) => command('flush', 'chain', name)),
      ...chains.gone.map(({ name }) => command('delete', 'chain', name)),
      ...sets.gone.map(({ name }) => command('delete', 'set', name)),
      ...counters.gone.map((name) => command('delete', 'counter', name)),
      ...counters.added.map((name) => command('add', 'counter', name)),
      ...chains.added.map(addChain),
      ...maps.flatMap(({ name, added }) => changeElements('add', name, added)),
      ...[...rewritten, ...chains.added].flatMap(addRules),
    ]),
  };
}

/** What became of the items of two lists; `kept` as they are in the first and in the second. */
function compare<T, U extends T>(before: readonly T[], after: readonly U[], keyOf: (item: T) => string) {
  const old = new Map(before.map((item) => [keyOf(item), item]));
  const added: U[] = [];
  const kept: [T, U][] = [];
  for (const item of after) {
    const known = old.get(keyOf(item));
    if (known === undefined) added.push(item);
    else kept.push([known, item]);
    old.delete(keyOf(item));
  }
  return { gone: [...old.values()], added, kept };
}

const transaction = (commands: string[]): Transaction => commands.map((line) => `${line}\n`).join('');

/** The commands that make things, change or end them; `what` is a word for their kind and their name. */
const command = (verb: 'add' | 'delete' | 'flush', kind: string, name: string, content = '') =>
  `${verb} ${kind} ${TABLE} ${name}${content}`;

function addSet({ name, type, flags, elem }: NftSet): string {
  // Of a hash whose size it knows, the kernel asks less.
  const kind = flags ? ` flags ${flags};` : elem.length > 0 ? ` size ${elem.length};` : '';
  const elements = elem.length > 0 ? ` elements = ${list(elem)};` : '';
  return command('add', 'set', name, ` { type ${type};${kind}${elements} }`);
}

function addChain({ name, base }: NftChain): string {
  if (!base) return command('add', 'chain', name);
  const { type, hook, prio, policy } = base;
  return command('add', 'chain', name, ` { type ${type} hook ${hook} priority ${prio}; policy ${policy}; }`);
}

function addRules({ name, rules }: NftChain): string[] {
  return rules.map((rule) => command('add', 'rule', name, ` ${rule.join(' ')}`));
}

function changeElements(verb: 'add' | 'delete', map: string, elements: NftMap['elem']): string[] {
  if (elements.length === 0) return [];
  const entries = elements.map(({ key, verdict }) => `${key} : ${verdict}`);
  return [command(verb, 'element', map, ` ${list(entries)}`)];
}
