import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { PASSWORD } from '../support/keystone.ts';
import { startKeystoneSystem } from '../support/keystone-system.ts';

// Octavia's own tests of its API, from the tempest plugin, against this one with a real Keystone and the noop provider:
//
//   node test/tempest/run.ts [--rules load-balancer|owner] [REGEX]
//
// The whole suite takes twelve minutes. It needs `apt-get install --no-install-recommends octavia-tempest-plugin`.

/** What the plugin calls the rules that it checks who may do what by. Its Keystone roles are those with a system scope. */
const RBAC_TESTS = { 'load-balancer': 'advanced', owner: 'owner_or_admin' } as const;
type Rules = keyof typeof RBAC_TESTS;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rules: { type: 'string', default: 'load-balancer' } },
});
const rules = values.rules as Rules;
if (!(rules in RBAC_TESTS)) throw new Error(`--rules: ${Object.keys(RBAC_TESTS).join(' or ')}`);

const directory = mkdtempSync(join(tmpdir(), 'amphorae-tempest-'));
const stops: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
try {
  const [python, where] = ['/usr/bin/python3', 'import octavia_tempest_plugin as p; print(p.__file__)'];
  const plugin = dirname(execFileSync(python, ['-c', where], { encoding: 'utf8' }));
  const { keystone, stop } = await startKeystoneSystem({ policy_rules: rules });
  stops.push(stop);

  writeFileSync(join(directory, 'tempest.conf'), tempestConfiguration(keystone.url));
  writeFileSync(
    join(directory, '.stestr.conf'),
    `[DEFAULT]\ntest_path=${plugin}/tests/api\ntop_dir=${dirname(plugin)}\n`,
  );
  const suite = spawn(python, ['-m', 'stestr', 'run', '--serial', ...positionals], {
    cwd: directory,
    stdio: 'inherit',
    env: { ...process.env, TEMPEST_CONFIG_DIR: directory, OS_LOG_CAPTURE: '1' },
  });
  [process.exitCode] = (await once(suite, 'exit')) as [number];
} finally {
  for (const stop of stops.reverse()) await stop();
}

/** Nothing of the cloud but Keystone; looks at what is being made follow each other closely, because nothing is. */
function tempestConfiguration(keystoneUrl: string): string {
  return `[DEFAULT]
log_file = ${directory}/tempest.log
[auth]
admin_username = admin
admin_password = ${PASSWORD}
admin_project_name = admin
admin_domain_name = Default
create_isolated_networks = False
[identity]
uri_v3 = ${keystoneUrl}
auth_version = v3
region = RegionOne
[identity-feature-enabled]
api_v2 = False
[service_available]
neutron = False
nova = False
glance = False
cinder = False
swift = False
load_balancer = True
[network]
project_networks_reachable = True
[load_balancer]
test_with_noop = True
provider = amphora
enabled_provider_drivers = amphora:The Octavia Amphora driver.,octavia:Deprecated alias of the Octavia Amphora driver.
RBAC_test_type = ${RBAC_TESTS[rules]}
build_interval = 0.1
check_interval = 0.1
lb_build_interval = 0.1
[oslo_concurrency]
lock_path = ${directory}/lock
`;
}
