import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { operationOf } from '../../src/http/auth/operation.ts';
import { Policy } from '../../src/http/auth/policy.ts';
import { holds, parseRule, RuleError, type Subject } from '../../src/http/auth/rule.ts';
import { actionRules, ruleSets } from '../../src/http/auth/rule-sets.ts';

const subject: Subject = {
  roles: new Set(['member', 'reader']),
  project_id: 'p',
  user_id: 'u',
  is_admin: 'False',
};
const judge = (text: string) =>
  holds(parseRule(text), subject, { project_id: 'p' }, (name) => parseRule(name === 'yes' ? '@' : '!'));

test('rules mean what they mean to oslo.policy', () => {
  const cases: [string, boolean][] = [
    ['', true],
    ['@', true],
    ['!', false],
    ['role:member', true],
    ['role:MEMBER', true],
    ['role:admin', false],
    ['project_id:%(project_id)s', true],
    ['user_id:%(user_id)s', false], // the object has no user
    ['project_id:q', false],
    ['is_admin:True', false],
    ['not role:admin', true],
    ['role:admin or role:reader', true],
    ['role:reader and role:admin', false],
    ['role:reader or role:admin and role:admin', true], // and binds closer
    ['(role:reader or role:admin) and role:admin', false],
    ['not (role:reader and role:admin)', true],
    ['((role:reader) AND (project_id:%(project_id)s))', true],
    ['rule:yes and not rule:no', true],
    ['system_scope:all', false],
  ];
  for (const [text, expected] of cases) assert.is(judge(text), expected, text);
});

test('what is no rule is refused with the reason', () => {
  const cases: [string, RegExp][] = [
    ['role:', /no check/],
    ['member', /no check/],
    ['(role:a', /not closed/],
    ['role:a)', /too many/],
    ['role:a role:b', /too many/],
    ['role:a and', /ends/],
    ['http://example.com/%(target)s', /'http:' is not supported/],
    ['project_id:%(target.project.id)s', /not supported/],
  ];
  for (const [text, reason] of cases) {
    assert.throws(
      () => parseRule(text),
      (error: Error) => error instanceof RuleError && reason.test(error.message),
      text,
    );
  }
});

const fileOf = (text: string) => ({ path: 'policy.yaml', text });
const PUT = 'os_load-balancer_api:pool:put';

test('a file replaces single rules, and rules that others refer to', () => {
  const nobody = new Policy('keystone', fileOf(`# none of ours\n"${PUT}": "!"\n`));
  assert.not(nobody.allows(PUT, subject, { project_id: 'p' }));
  assert.ok(nobody.allows('os_load-balancer_api:pool:post', subject, { project_id: 'p' }));
  const all = new Policy('keystone', fileOf('"load-balancer:write": "@"'));
  assert.ok(all.allows(PUT, subject, { project_id: 'other' }));
  assert.ok(new Policy('keystone', fileOf('')).allows(PUT, subject, { project_id: 'p' }));
  const operators = new Policy('keystone', fileOf('context_is_admin: "role:member"'));
  assert.is(operators.withAdmin(subject).is_admin, 'True');
});

test('a wrong file is refused, naming the line', () => {
  const cases: [string, RegExp][] = [
    ['"a": "role:x"\n"b": "role:"\n', /^policy.yaml:2: rule 'b': 'role:' is no check/],
    ['"a": "role:x"\n\n"b": "rule:nowhere"\n', /^policy.yaml:3: there is no rule 'nowhere'/],
    ['"a": "rule:b"\n"b": "rule:a"\n', /^policy.yaml:\d: rule 'a' refers to itself/],
    ['"a": ["role:x"]\n', /^policy.yaml:1: expected/],
    ['"a": "role:x"\n"a": "role:y"\n', /^policy.yaml:2:/],
    ['"a: b\n', /^policy.yaml:\d:/],
    ['- a\n', /expected a mapping/],
  ];
  for (const [text, reason] of cases) {
    assert.throws(
      () => new Policy('keystone', fileOf(text)),
      (error: Error) => reason.test(error.message),
      text,
    );
  }
});

test('names that nothing uses are told', () => {
  const policy = new Policy(
    'keystone',
    fileOf(`"os_load-balancer_api:pool:putt": "!"\nhelp: "@"\n"${PUT}": "rule:help"`),
  );
  assert.equal(policy.unused, ['os_load-balancer_api:pool:putt']);
});

test('every rule set has the same classes, and what has no rule is nobody’s', () => {
  for (const name of Object.keys(ruleSets) as (keyof typeof ruleSets)[]) {
    const admin = new Policy(name).withAdmin({ roles: new Set(['admin']) });
    for (const action of Object.keys(actionRules)) {
      assert.ok(new Policy(name).allows(action, admin, { project_id: 'x' }), `${name} ${action}`);
      assert.not(
        new Policy(name).allows(action, { roles: new Set() }, { project_id: 'x' }),
        `${name} ${action}`,
      );
    }
    assert.not(new Policy(name).allows('os_load-balancer_api:unheard:of', admin, {}));
  }
});

test('routes have the actions of the contract, and one without is not served', () => {
  const cases: [string, string, string][] = [
    ['GET', '/lbaas/loadbalancers', 'loadbalancer:get_all'],
    ['GET', '/lbaas/loadbalancers/:id/statuses', 'loadbalancer:get_status'],
    ['PUT', '/lbaas/loadbalancers/:id/failover', 'loadbalancer:put_failover'],
    ['GET', '/lbaas/pools/:poolId/members/:id', 'member:get_one'],
    ['DELETE', '/lbaas/l7policies/:policyId/rules/:id', 'l7rule:delete'],
    ['GET', '/lbaas/quotas/:projectId/default', 'quota:get_defaults'],
    ['GET', '/lbaas/quotas/defaults', 'quota:get_defaults'],
    ['GET', '/lbaas/providers/:provider/flavor_capabilities', 'provider-flavor:get_all'],
    ['PUT', '/lbaas/availabilityzones/:name', 'availability-zone:put'],
    ['PUT', '/octavia/amphorae/:id/config', 'amphora:put_config'],
  ];
  for (const [method, route, action] of cases) {
    const { actions } = operationOf(method, route);
    assert.equal(actions, [`os_load-balancer_api:${action}`], route);
    for (const each of actions) assert.ok(each in actionRules, each);
  }
  for (const [method, route] of [
    ['GET', '/lbaas/nothing'],
    ['POST', '/lbaas/loadbalancers/:id/explode'],
    ['PATCH', '/lbaas/pools'],
  ] as const) {
    assert.throws(() => operationOf(method, route), /has no policy/);
  }
});

test.run();
