import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createLogger } from '../../src/logging/logger.ts';
import { startHarness } from './api-harness.ts';

let text = '';
const output = new Writable({
  write(chunk, _, done) {
    text += chunk;
    done();
  },
});
const api = await startHarness({ log: createLogger({ level: 'debug' }, output) });
test.after(() => api.stop());
test.before.each(() => {
  text = '';
});
const lines = () =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test('a change is one line at info, with its route, path, status, time, project and request id', async () => {
  const id = randomUUID();
  const { headers, status } = await api.send('DELETE', `/v2/lbaas/loadbalancers/${id}?cascade=true`);
  assert.is(status, 404);
  const [{ level, msg, request_id, method, route, path, status: logged, ms, project_id }, ...others] =
    lines();
  assert.equal(others, []);
  assert.equal([level, msg, method, logged, project_id], ['info', 'request', 'DELETE', 404, 'default']);
  assert.equal([route, path], ['/v2/lbaas/loadbalancers/:id', `/v2/lbaas/loadbalancers/${id}`]);
  assert.type(ms, 'number');
  assert.match(request_id, /^req-[0-9a-f-]{36}$/);
  assert.is(headers.get('x-openstack-request-id'), request_id);
});

test('a change names its load balancer, where the path names something below it, too', async () => {
  const { id } = await api.createLoadBalancer();
  await api.send('POST', '/v2/lbaas/pools', {
    pool: { loadbalancer_id: id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
  });
  const requests = lines().filter(({ msg }) => msg === 'request');
  assert.equal(
    requests.map(({ route, loadbalancer_id }) => [route, loadbalancer_id]),
    [
      ['/v2/lbaas/loadbalancers', id],
      ['/v2/lbaas/pools', id],
    ],
  );
});

test('what is read is a line at debug, without its query', async () => {
  await api.send('GET', '/v2/lbaas/pools?name=a-token-in-a-query');
  const [{ level, route }] = lines();
  assert.equal([level, route], ['debug', '/v2/lbaas/pools']);
  assert.not.match(text, /a-token/);
});

test('a request of another service keeps the id that it has there, and nobody writes what he likes', async () => {
  const id = `req-${randomUUID()}`;
  await api.send('GET', '/v2/lbaas/pools', undefined, { 'x-openstack-request-id': id });
  await api.send('GET', '/v2/lbaas/pools', undefined, { 'x-openstack-request-id': 'req-"},"forged' });
  const [first, second] = lines();
  assert.is(first.global_request_id, id);
  assert.is(second.global_request_id, undefined);
  assert.is.not(first.request_id, second.request_id);
});

test('a defect is logged with the id that the client has', async () => {
  Object.assign(api.dependencies.network, {
    getSubnet() {
      throw new TypeError('not a function');
    },
  });
  const { status, headers } = await api.send('POST', '/v2/lbaas/loadbalancers', {
    loadbalancer: { vip_subnet_id: randomUUID() },
  });
  assert.is(status, 500);
  const failed = lines().find(({ msg }) => msg === 'request failed');
  assert.is(failed.request_id, headers.get('x-openstack-request-id'));
  assert.is(failed.err.message, 'not a function');
});

test.run();
