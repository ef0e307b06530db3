import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { TerminalError } from '../../model/errors.ts';
import { holds, parseRule, type Rule, RuleError, referencesOf, type Subject, type Target } from './rule.ts';
import { actionRules, type RuleSetName, ruleSets } from './rule-sets.ts';

interface Entry {
  rule: Rule;
  /** Where it stands, for messages; undefined for rules of our own. */
  line?: number;
}

/** Who may do what: the rules of one set, as changed by an operator's file. */
export class Policy {
  readonly #entries: ReadonlyMap<string, Entry>;
  /** Names in the file that neither are actions nor are used by a rule: likely misspelt. */
  readonly unused: string[];

  /**
   * @param file an oslo.policy file: a YAML mapping of rule names to rules, which replace ours.
   * @throws TerminalError `policy_file` that names the line
   */
  constructor(set: RuleSetName, file?: { path: string; text: string }) {
    const entries = new Map<string, Entry>();
    for (const [name, text] of Object.entries({ ...ruleSets[set], ...actionRules })) {
      entries.set(name, { rule: parseRule(text) });
    }
    const given = file === undefined ? new Map<string, Entry>() : parseFile(file);
    for (const [name, entry] of given) entries.set(name, entry);
    this.#entries = entries;
    for (const [name, { line }] of entries) this.#check(name, file?.path ?? '', line, []);
    const used = new Set([...entries.values()].flatMap(({ rule }) => referencesOf(rule)));
    this.unused = [...given.keys()].filter(
      (name) => !(name in actionRules || name in ruleSets[set] || used.has(name)),
    );
  }

  /** May `subject` do this to what belongs to `target`? @param action `os_load-balancer_api:pool:put`, ... */
  allows(action: string, subject: Subject, target: Target): boolean {
    return holds(this.#find(action), subject, target, (name) => this.#find(name));
  }

  /** What a rule may ask of a subject besides its own attributes. */
  withAdmin(subject: Subject): Subject {
    return { ...subject, is_admin: this.allows('context_is_admin', subject, {}) ? 'True' : 'False' };
  }

  #find(name: string): Rule {
    // What has no rule is nobody's.
    return this.#entries.get(name)?.rule ?? { kind: 'nobody' };
  }

  /** Every rule that is referred to exists, and none leads back to itself. */
  #check(name: string, path: string, line: number | undefined, above: string[]): void {
    const entry = this.#entries.get(name);
    const where = line === undefined ? path : `${path}:${line}`;
    if (entry === undefined) throw policyError(`${where}: there is no rule '${name}'`);
    if (above.includes(name)) throw policyError(`${where}: rule '${name}' refers to itself`);
    for (const reference of referencesOf(entry.rule)) {
      this.#check(reference, path, entry.line ?? line, [...above, name]);
    }
  }
}

function parseFile({ path, text }: { path: string; text: string }): Map<string, Entry> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const lineOf = (node: unknown) => lines.linePos((node as { range?: [number] }).range?.[0] ?? 0).line;
  const [error] = document.errors;
  if (error !== undefined) throw policyError(`${path}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  const { contents } = document;
  if (contents === null) return new Map();
  if (!isMap(contents)) throw policyError(`${path}:1: expected a mapping of rule names to rules`);

  return new Map(
    contents.items.map(({ key, value }) => {
      const line = lineOf(key);
      if (!isScalar(key) || !isScalar(value) || typeof value.value !== 'string') {
        throw policyError(`${path}:${line}: expected the name of a rule, a colon and a rule in quotes`);
      }
      try {
        return [String(key.value), { rule: parseRule(value.value), line }];
      } catch (cause) {
        if (!(cause instanceof RuleError)) throw cause;
        throw policyError(`${path}:${line}: rule '${key.value}': ${cause.message}`);
      }
    }),
  );
}

const policyError = (message: string) => new TerminalError('policy_file', message);
