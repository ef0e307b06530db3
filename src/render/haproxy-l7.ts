import type { L7RuleNode, ListenerNode, LoadBalancerGraph } from '../model/graph.ts';
import { type ActivePolicy, activePolicies } from './desired.ts';
import { line, quote, quoteFormat, sample } from './haproxy-syntax.ts';

/**
 * The policies of a listener (contract E2), the first that matches decides. haproxy looks at `use_backend` only after all
 * `http-request` rules, so a policy that leads to a pool ends those with `allow`, or a later REJECT would overrule it.
 */
export function policyLines(graph: LoadBalancerGraph, listener: ListenerNode): string[] {
  const policies = activePolicies(graph, listener);
  return [
    ...policies.flatMap(({ rules }) => rules.map(acl)),
    ...policies.map((active) => line(`http-request ${action(active)}`, condition(active.rules))),
    ...policies.flatMap(({ rules, pool }) =>
      pool ? [line(`use_backend ${pool.id}:${listener.id}`, condition(rules))] : [],
    ),
  ];
}

function action({ policy }: ActivePolicy): string {
  const code = policy.redirectHttpCode ?? 302;
  switch (policy.action) {
    case 'REJECT':
      return 'deny';
    case 'REDIRECT_TO_POOL':
      return 'allow';
    case 'REDIRECT_TO_URL':
      return `redirect code ${code} location ${quoteFormat(policy.redirectUrl ?? '')}`;
    case 'REDIRECT_PREFIX':
      return `redirect code ${code} prefix ${quoteFormat(policy.redirectPrefix ?? '')}`;
  }
}

function condition(rules: L7RuleNode[]): string {
  return `if ${rules.map(({ id, invert }) => (invert ? `!${id}` : id)).join(' ')}`;
}

function acl(rule: L7RuleNode): string {
  return `acl ${rule.id} ${criterion(rule)}`;
}

function criterion(rule: L7RuleNode): string {
  const key = rule.key ?? '';
  const pattern = (how: string) => `-m ${how} -- ${quote(rule.value)}`;
  const compared = pattern(matchMethods[rule.compareType]);
  switch (rule.type) {
    case 'HOST_NAME':
      return `req.hdr(host) -i ${compared}`;
    case 'PATH':
      return `path ${compared}`;
    case 'FILE_TYPE':
      return `path ${pattern(rule.compareType === 'REGEX' ? 'reg' : 'end')}`;
    case 'HEADER':
      return `${sample('req.hdr', key)} ${compared}`;
    case 'COOKIE':
      return `${sample('req.cook', key)} ${compared}`;
    case 'SSL_CONN_HAS_CERT':
      return 'ssl_c_used';
    case 'SSL_VERIFY_RESULT':
      return `ssl_c_verify ${pattern('int')}`;
    case 'SSL_DN_FIELD':
      return `${sample('ssl_c_s_dn', key)} ${compared}`;
  }
}

const matchMethods: Record<L7RuleNode['compareType'], string> = {
  REGEX: 'reg',
  STARTS_WITH: 'beg',
  ENDS_WITH: 'end',
  CONTAINS: 'sub',
  EQUAL_TO: 'str',
};
