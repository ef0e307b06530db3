// timeout: 120
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pino from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding } from '../../src/cli/doctor/check.ts';
import { checkOpenstack } from '../../src/cli/doctor/openstack.ts';
import { openCloud } from '../../src/cli/serve/cloud.ts';
import { openstackOptions } from '../../src/cli/serve/provider.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { NoopAgent } from '../../src/providers/noop/agent.ts';
import { Operator } from './cloud.ts';

// What `amphorae doctor --provider openstack` says of a real cloud, and what a controller says when it starts.

let operator: Operator;
let complete: Config;

test.before(async () => {
  operator = new Operator();
  const management = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.90.0.0/24' });
  await operator.image(operator.name);
  complete = {
    ...loadConfig({}, {}),
    provider: 'openstack',
    os_auth_url: 'http://127.0.0.1:15000/v3',
    os_username: 'octavia',
    os_password: 'secret',
    os_project_name: 'service',
    openstack_compute_flavor: await operator.computeFlavor(),
    openstack_image_tag: operator.name,
    openstack_management_networks: [management.networkId],
  };
});
test.after(async () => {
  await operator?.close();
});

const detailOf = async (name: string) =>
  (await checkOpenstack(complete)).find((finding) => finding.name === name)?.detail ?? '';

test('the command of the guide finds the same from the environment alone', async () => {
  const { PATH, HOME } = process.env;
  const environment = {
    ...{ PATH, HOME, OS_AUTH_URL: complete.os_auth_url, OS_USERNAME: complete.os_username },
    ...{ OS_PASSWORD: complete.os_password, OS_PROJECT_NAME: complete.os_project_name },
    AMPHORAE_OPENSTACK_COMPUTE_FLAVOR: complete.openstack_compute_flavor,
    AMPHORAE_OPENSTACK_IMAGE_TAG: complete.openstack_image_tag,
    AMPHORAE_OPENSTACK_MANAGEMENT_NETWORKS: complete.openstack_management_networks.join(),
  };
  const command = ['doctor', '--provider', 'openstack', '--json'];
  const { stdout } = await promisify(execFile)(join(import.meta.dirname, '../../bin/amphorae'), command, {
    env: environment,
  }).catch((error: { stdout: string }) => error);
  const findings: Finding[] = JSON.parse(stdout);
  for (const { name, detail } of await checkOpenstack(complete)) {
    assert.is(findings.find((finding) => finding.name === name)?.detail, detail);
  }
});

test('a complete cloud has nothing to mend', async () => {
  const findings = await checkOpenstack(complete);
  assert.equal(
    findings.filter(({ level }) => level !== 'ok'),
    [],
  );
  assert.equal(
    findings.map(({ name }) => name),
    ['keystone', 'neutron', 'management network', 'virtual functions', 'nova', 'compute flavor', 'image'],
  );
});

test('VFs are counted where Placement knows them; where it does not, doctor says why', async () => {
  assert.match(
    await detailOf('virtual functions'),
    /^2 hosts .* physnet1, physnet2; .* use 0; free: unknown, because/,
  );
  const forget = await operator.inventory('SRIOV_NET_VF', 16);
  assert.match(await detailOf('virtual functions'), /free: 16, says Placement$/);
  await forget();
});

test('each thing that is missing is named, with what to do', async () => {
  const findings = await checkOpenstack({
    ...complete,
    openstack_compute_flavor: 'no-such',
    openstack_image_tag: 'no-such',
    openstack_management_networks: [randomUUID()],
  });
  assert.equal(
    findings.filter(({ level, fix }) => level === 'fail' && fix).map(({ name }) => name),
    ['management network', 'compute flavor', 'image'],
  );
});

test('an account that is refused, and a cloud that does not answer, are all that is said', async () => {
  for (const [changes, words] of [
    [{ os_password: 'wrong' }, /does not accept our account/],
    [{ os_auth_url: 'http://127.0.0.1:1/v3' }, /does not answer/],
  ] as const) {
    const findings = await checkOpenstack({ ...complete, ...changes });
    assert.equal(
      findings.map(({ name, level }) => [name, level]),
      [['keystone', 'fail']],
    );
    assert.match(findings[0]?.detail ?? '', words);
  }
});

test('a controller does not start with an account that is refused; it starts without a cloud that is away, and says so', async () => {
  const said: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => said.push(line) });
  const open = (changes: Partial<Config>) =>
    openCloud({ options: openstackOptions({ ...complete, ...changes }, log), agent: new NoopAgent(), log });
  const refused = await open({ os_password: 'wrong' }).catch((error: { code: string }) => error.code);
  assert.is(refused, 'keystone_credentials');
  await (await open({ os_auth_url: 'http://127.0.0.1:1/v3' })).close();
  assert.match(said.pop() ?? '', /starting without the cloud/);
  await (await open({ openstack_image_tag: 'no-such' })).close();
  assert.match(said.pop() ?? '', /the cloud is not ready: image/);
  await (await open({})).close();
  assert.equal(said, []);
});

test.run();
