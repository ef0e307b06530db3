import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isAccepted, serverChanges } from '../../agent/haproxy/server-changes.ts';
import { healthOnly } from '../../agent/haproxy/server-state.ts';

const config = (servers: string[], mode = 'http') => `frontend f
    bind 192.0.2.1:80
backend one
    mode ${mode}
${servers.map((server) => `    server ${server}`).join('\n')}
backend two
    server z 192.0.2.9:80 weight 1
`;

test('weight, state and presence of servers change by commands', () => {
  const before = config([
    'a 192.0.2.1:80 weight 1',
    'b 192.0.2.2:80 weight 1 disabled',
    'c 192.0.2.3:80 weight 1',
  ]);
  const after = config([
    'd 192.0.2.4:80 weight 2 check inter 5s backup',
    'e [2001:db8::5]:80 weight 0 disabled',
    'b 192.0.2.2:80 weight 3',
    'a 192.0.2.1:80 weight 1 disabled',
  ]);
  assert.equal(serverChanges(before, after), [
    'add server one/d 192.0.2.4:80 weight 2 check inter 5s backup',
    'enable health one/d',
    'set server one/d state ready',
    'add server one/e [2001:db8::5]:80 weight 0',
    'set server one/b weight 3',
    'set server one/b state ready',
    'set server one/a state maint',
    'set server one/c state maint',
    'del server one/c',
  ]);
});

test('the order of servers alone asks for nothing', () => {
  const servers = ['a 192.0.2.1:80 weight 1', 'b 192.0.2.2:80 weight 1'];
  assert.equal(serverChanges(config(servers), config(servers.toReversed())), []);
});

test('a cache of TLS sessions that follows the free memory is worth no reload', () => {
  const servers = ['a 192.0.2.1:80 weight 1'];
  const withCache = (size: number) => `global\n    tune.ssl.cachesize ${size}\n${config(servers)}`;
  assert.equal(serverChanges(withCache(20_004), withCache(30_000)), []);
});

test('everything else needs a reload', () => {
  const before = config(['a 192.0.2.1:80 weight 1']);
  for (const after of [
    config(['a 192.0.2.1:80 weight 1'], 'tcp'),
    config(['a 192.0.2.7:80 weight 1']),
    config(['a 192.0.2.1:80 weight 1 check']),
    config(['a 192.0.2.1:80 weight 1', `b 192.0.2.2:80 weight 1 ssl ciphers 'X'`]),
    config(Array.from({ length: 150 }, (_, index) => `s${index} 192.0.2.1:${index + 1} weight 1`)),
  ])
    assert.is(serverChanges(before, after), undefined, after);
});

test('only what haproxy says after success is success', () => {
  for (const answer of ['\n', 'New server registered.\n\n', 'Server deleted.\n'])
    assert.ok(isAccepted(answer), answer);
  for (const answer of [
    'No such server.\n',
    'Backend must use a dynamic load balancing to support dynamic servers.',
  ])
    assert.not(isAccepted(answer), answer);
});

test('a worker inherits the health of servers, not what was said on the socket', () => {
  const head =
    '1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight ...';
  const state = `${head}
3 one 1 a 192.0.2.1 2 0 7 1 10 6 3 4
3 one 2 b 192.0.2.2 0 0 1 1 10 8 2 0
3 one 3 c 192.0.2.3 0 1 1 1 10 6 3 4
3 one 4 d 192.0.2.4 2 8 0 5 10 6 3 4
`;
  assert.is(
    healthOnly(state),
    `${head}
3 one 1 a 192.0.2.1 2 0 1 1 10 6 3 4
3 one 2 b 192.0.2.2 0 0 1 1 10 8 2 0
3 one 4 d 192.0.2.4 2 0 5 5 10 6 3 4
`,
  );
});

test.run();
