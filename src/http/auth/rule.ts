/**
 * The rule language of oslo.policy, as far as policies of Octavia use it: `role:`, `rule:`, `<attribute>:<value>` with
 * `%(project_id)s` and `%(user_id)s`, `and`, `or`, `not`, parentheses, `@` (everyone) and `!` (nobody).
 */
export type Rule =
  | { kind: 'everyone' }
  | { kind: 'nobody' }
  | { kind: 'role'; role: string }
  | { kind: 'rule'; name: string }
  | { kind: 'attribute'; attribute: SubjectAttribute; value: string | { target: TargetAttribute } }
  | { kind: 'not'; rule: Rule }
  | { kind: 'and' | 'or'; rules: Rule[] };

const SUBJECT_ATTRIBUTES = [
  'project_id',
  'user_id',
  'domain_id',
  'user_domain_id',
  'project_domain_id',
  'system_scope',
  'is_admin',
] as const;
type SubjectAttribute = (typeof SUBJECT_ATTRIBUTES)[number];

const TARGET_ATTRIBUTES = ['project_id', 'user_id'] as const;
type TargetAttribute = (typeof TARGET_ATTRIBUTES)[number];

/** Who asks, in the words of the rules. */
export interface Subject extends Partial<Record<SubjectAttribute, string>> {
  roles: ReadonlySet<string>;
}

/** Whose object it is. */
export type Target = Partial<Record<TargetAttribute, string>>;

/** The text is no rule; the message says why. */
export class RuleError extends Error {}

/** @throws RuleError */
export function parseRule(text: string): Rule {
  if (text.trim() === '') return { kind: 'everyone' };
  const tokens = tokensOf(text);
  const rule = parseOr(tokens);
  if (tokens.length > 0) throw new RuleError(`'${tokens[0]}' is one word too many`);
  return rule;
}

/** Names of other rules that a rule refers to. */
export function referencesOf(rule: Rule): string[] {
  if (rule.kind === 'rule') return [rule.name];
  if (rule.kind === 'not') return referencesOf(rule.rule);
  return rule.kind === 'and' || rule.kind === 'or' ? rule.rules.flatMap(referencesOf) : [];
}

/** @param named finds the rules that it refers to. */
export function holds(rule: Rule, subject: Subject, target: Target, named: (name: string) => Rule): boolean {
  const each = (part: Rule) => holds(part, subject, target, named);
  switch (rule.kind) {
    case 'everyone':
      return true;
    case 'nobody':
      return false;
    case 'role':
      return subject.roles.has(rule.role);
    case 'rule':
      return each(named(rule.name));
    case 'attribute': {
      const wanted = typeof rule.value === 'string' ? rule.value : target[rule.value.target];
      return wanted !== undefined && subject[rule.attribute] === wanted;
    }
    case 'not':
      return !each(rule.rule);
    case 'and':
      return rule.rules.every(each);
    case 'or':
      return rule.rules.some(each);
  }
}

/** Words and parentheses. A parenthesis inside a word belongs to it: `%(project_id)s`. */
function tokensOf(text: string): string[] {
  return text
    .trim()
    .split(/\s+/)
    .flatMap((word) => {
      const [, opening = '', inner = '', closing = ''] = /^(\(*)(.*?)(\)*)$/.exec(word) ?? [];
      return [...opening, ...(inner === '' ? [] : [inner]), ...closing];
    });
}

const isWord = (token: string | undefined, word: string) => token?.toLowerCase() === word;

function parseOr(tokens: string[]): Rule {
  const rules = [parseAnd(tokens)];
  while (isWord(tokens[0], 'or')) {
    tokens.shift();
    rules.push(parseAnd(tokens));
  }
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { kind: 'or', rules };
}

function parseAnd(tokens: string[]): Rule {
  const rules = [parseNot(tokens)];
  while (isWord(tokens[0], 'and')) {
    tokens.shift();
    rules.push(parseNot(tokens));
  }
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { kind: 'and', rules };
}

function parseNot(tokens: string[]): Rule {
  const token = tokens.shift();
  if (token === undefined) throw new RuleError('it ends where a check should follow');
  if (isWord(token, 'not')) return { kind: 'not', rule: parseNot(tokens) };
  if (token !== '(') return parseCheck(token);
  const rule = parseOr(tokens);
  if (tokens.shift() !== ')') throw new RuleError('a parenthesis is not closed');
  return rule;
}

function parseCheck(word: string): Rule {
  if (word === '@') return { kind: 'everyone' };
  if (word === '!') return { kind: 'nobody' };
  const [, name = '', value = ''] = /^([^:]+):(.+)$/.exec(word) ?? [];
  if (value === '') throw new RuleError(`'${word}' is no check`);
  if (name === 'role') return { kind: 'role', role: value.toLowerCase() };
  if (name === 'rule') return { kind: 'rule', name: value };
  if (!isOneOf(SUBJECT_ATTRIBUTES, name)) throw new RuleError(`'${name}:' is not supported`);
  const [, target] = /^%\((.*)\)s$/.exec(value) ?? [];
  if (target === undefined) return { kind: 'attribute', attribute: name, value };
  if (!isOneOf(TARGET_ATTRIBUTES, target)) throw new RuleError(`'%(${target})s' is not supported`);
  return { kind: 'attribute', attribute: name, value: { target } };
}

function isOneOf<T extends string>(list: readonly T[], value: string): value is T {
  return (list as readonly string[]).includes(value);
}
