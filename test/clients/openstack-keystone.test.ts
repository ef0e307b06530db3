// timeout: 300
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clientEnvironment, type Person } from '../support/keystone.ts';
import { startKeystoneSystem } from '../support/keystone-system.ts';
import { startOpenStack } from './openstack.ts';

const stops: (() => Promise<unknown>)[] = [];
test.after(async () => {
  for (const stop of stops.reverse()) await stop();
});

const { keystone, system, stop } = await startKeystoneSystem();
stops.push(stop);

const member = startOpenStack(clientEnvironment(keystone.url, 'alpha-member'));
const stranger = startOpenStack(clientEnvironment(keystone.url, 'beta-member'));
const operator = startOpenStack(clientEnvironment(keystone.url, 'operator'));
for (const each of [member, stranger, operator]) stops.push(() => each.stop());

type Client = typeof member;
const run = (client: Client, line: string) => client.run('loadbalancer', ...line.split(' '));
const show = (client: Client, line: string) => run(client, `${line} -f json`);
const refused = (client: Client, line: string, reason: RegExp) =>
  run(client, line).then(assert.unreachable, (error: Error) => assert.match(error.message, reason));

test('who logs in at Keystone sees and changes the load balancers of the own project', async () => {
  const made = await show(member, `create --name mine --vip-subnet-id ${randomUUID()} --wait`);
  assert.equal([made.provisioning_status, made.project_id], ['ACTIVE', keystone.projects.alpha]);
  await run(member, 'set mine --description changed --wait');
  assert.equal(await show(stranger, 'list'), []);
  await refused(stranger, `delete ${made.id}`, /Unable to locate/);
  assert.is((await show(operator, 'list')).length, 1);
  assert.is((await show(operator, `list --project alpha`)).length, 1);
});

test('what is for administrators is refused to others, in words', async () => {
  await refused(member, 'failover mine', /Policy does not allow.*HTTP 403/);
  await refused(member, 'amphora list', /Policy does not allow.*HTTP 403/);
  await run(operator, `failover ${(await show(member, 'show mine')).id} --wait`);
});

test('quotas are shown, set by an administrator, met, and reset', async () => {
  const { alpha } = keystone.projects;
  assert.is((await show(member, `quota show ${alpha}`)).load_balancer, -1);
  await refused(member, `quota set --loadbalancer 5 ${alpha}`, /HTTP 403/);
  await run(operator, 'quota set --loadbalancer 1 alpha');
  assert.is((await show(operator, 'quota list')).length, 1);
  await refused(member, `create --vip-subnet-id ${randomUUID()}`, /Quota has been met/);
  await run(operator, 'quota unset --loadbalancer alpha');
  assert.is((await show(member, `quota show ${alpha}`)).load_balancer, -1);
  await run(operator, 'quota set --loadbalancer 1 alpha');
  await run(operator, 'quota reset alpha');
  assert.is((await show(member, `quota show ${alpha}`)).load_balancer, -1);
});

test('our own command line logs in as the account of OS_*', async () => {
  const actors = (person: Person) =>
    promisify(execFile)(process.execPath, ['src/cli/main.ts', 'actors', 'list', '--url', system.url], {
      env: { PATH: process.env.PATH, ...clientEnvironment(keystone.url, person) },
    });
  assert.match((await actors('operator')).stdout, /load-balancer/);
  await actors('alpha-member').then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /403 Policy does not allow/),
  );
});

test('openstacksdk makes, finds, pages, changes, waits and deletes', async () => {
  const script = join(import.meta.dirname, 'use-sdk.py');
  await promisify(execFile)('/usr/bin/python3', [script], {
    env: { PATH: process.env.PATH, ...clientEnvironment(keystone.url, 'alpha-member') },
    timeout: 120_000,
  });
});

test.run();
