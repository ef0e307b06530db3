import * as z from 'zod';
import type { L7RuleNode } from '../../model/graph.ts';
import { attribute, common, Flag, mandatory, onPost, onPut, project, text } from '../attributes.ts';
import { conflict, invalidInput } from '../fault.ts';

const Type = z.enum([
  'HOST_NAME',
  'PATH',
  'FILE_TYPE',
  'HEADER',
  'COOKIE',
  'SSL_CONN_HAS_CERT',
  'SSL_VERIFY_RESULT',
  'SSL_DN_FIELD',
]);
const CompareType = z.enum(['REGEX', 'STARTS_WITH', 'ENDS_WITH', 'CONTAINS', 'EQUAL_TO']);

const mutable = {
  admin_state_up: common.admin_state_up,
  tags: common.tags,
  type: mandatory(Type),
  compare_type: mandatory(CompareType),
  value: mandatory(text(255)),
  key: attribute(text(255), null),
  invert: attribute(Flag, false),
};

/** Body of `POST /l7policies/{id}/rules`, and a rule inside the POST of a load balancer (contract A14). */
export const L7RulePost = z.strictObject({ ...project, ...onPost(mutable) });
/** Body of `PUT /l7policies/{id}/rules/{id}`. */
export const L7RulePut = z.strictObject(onPut(mutable));

type Rule = Pick<L7RuleNode, 'type' | 'key' | 'value'> & { compare_type: L7RuleNode['compareType'] };

interface Syntax {
  compareTypes: readonly string[];
  /** What the key has to be; null: there may be none; absent: it does not matter. */
  key?: { form: RegExp; called: string } | null;
  /** What the value has to be, unless it is a regular expression. */
  value: { form: RegExp; called: string };
}

const ANY = CompareType.options;
const headerValue = { form: /^([!#-~]+|"[ !#-~]*")$/, called: 'the value of a header' };
const token = { form: /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/, called: 'a token' };

const SYNTAX: Record<Rule['type'], Syntax> = {
  HOST_NAME: { compareTypes: ANY, value: headerValue },
  PATH: { compareTypes: ANY, value: headerValue },
  FILE_TYPE: { compareTypes: ['REGEX', 'EQUAL_TO'], value: headerValue },
  HEADER: { compareTypes: ANY, key: token, value: headerValue },
  COOKIE: {
    compareTypes: ANY,
    key: token,
    value: { form: /^[!#-+\--:<-[\]-~]+$/, called: 'the value of a cookie' },
  },
  SSL_CONN_HAS_CERT: { compareTypes: ['EQUAL_TO'], key: null, value: { form: /^true$/i, called: 'true' } },
  SSL_VERIFY_RESULT: {
    compareTypes: ['EQUAL_TO'],
    key: null,
    value: { form: /^\d+$/, called: 'an integer that is not negative' },
  },
  SSL_DN_FIELD: {
    compareTypes: ANY,
    key: { form: /^[A-Za-z][A-Za-z0-9-]*$/, called: 'an attribute of a distinguished name' },
    value: { form: /^\P{Cc}+$/u, called: 'text without control characters' },
  },
};

/**
 * The rules between attributes of an L7 rule, given as it would be after the request.
 * @throws Fault 400
 */
export function checkRule({ type, compare_type: compareType, key, value }: Rule): void {
  const syntax = SYNTAX[type];
  if (!syntax.compareTypes.includes(compareType)) {
    throw invalidInput(
      'compare_type',
      compareType,
      `Value should be one of: ${syntax.compareTypes.join(', ')}`,
    );
  }
  if (syntax.key === null && key !== null) throw invalidInput('key', key, `A ${type} rule has none.`);
  if (syntax.key && !syntax.key.form.test(key ?? ''))
    throw invalidInput('key', key, `Value should be ${syntax.key.called}.`);
  if (compareType === 'REGEX') checkRegularExpression(value);
  else if (!syntax.value.form.test(value))
    throw invalidInput('value', value, `Value should be ${syntax.value.called}.`);
}

/** haproxy reads PCRE: what JavaScript writes in another way, or cannot say, is no mistake. */
function checkRegularExpression(value: string): void {
  const common = value
    .replace(/\(\?[imsx]+\)/g, '')
    .replaceAll('(?P<', '(?<')
    .replace(/(?<!\\)([*+?}])\+/g, '$1');
  try {
    if (value === '' || /\p{Cc}/u.test(value)) throw new SyntaxError();
    new RegExp(common);
  } catch {
    throw invalidInput('value', value, 'Value should be a regular expression.');
  }
}

/** Most rules that one policy can have. */
const MAX_RULES = 50;

/** @throws Fault 409 when a policy would have more rules than it can */
export function checkRuleCount(count: number): void {
  if (count > MAX_RULES) throw conflict(`An L7 Policy can have at most ${MAX_RULES} rules.`);
}
