import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError, loadConfig, type SettingName, settings, toEnvironment } from '../../src/config.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
test.after(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'amphorae.yaml');
  writeFileSync(path, text);
  return path;
}

test('every default fits its own schema and has a reason', () => {
  const config = loadConfig({}, {});
  for (const [name, { reason }] of Object.entries(settings)) {
    assert.ok(name in config, name);
    assert.ok(reason.length > 10, name);
  }
});

test('option beats environment beats file beats default', () => {
  const config = file('nodes: 2\nlease_seconds: 3\nsweep_seconds: 5');
  const environment = { AMPHORAE_NODES: '4', AMPHORAE_LEASE_SECONDS: '6' };
  const { nodes, lease_seconds, sweep_seconds, actor_cache } = loadConfig(
    { nodes: '7', config },
    environment,
  );
  assert.equal([nodes, lease_seconds, sweep_seconds], [7, 6, 5]);
  assert.is(actor_cache, settings.actor_cache.fallback);
});

test('AMPHORAE_CONFIG names the file, and DATABASE_URL the database when nothing else does', () => {
  const AMPHORAE_CONFIG = file('database_url: postgresql:///file');
  assert.is(
    loadConfig({}, { AMPHORAE_CONFIG, DATABASE_URL: 'postgresql:///other' }).database_url,
    'postgresql:///file',
  );
  assert.is(loadConfig({}, { DATABASE_URL: 'postgresql:///other' }).database_url, 'postgresql:///other');
});

test('all that is wrong is reported at once, with where it came from', () => {
  const config = file('nodes: many\nnonsense: 1');
  try {
    loadConfig({ provider: 'cloud', config }, { AMPHORAE_LISTEN: 'here' });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ConfigError);
    const lines = (error as Error).message.split('\n');
    assert.is(lines.length, 4);
    assert.ok(lines.some((line) => line.startsWith('provider:') && line.includes('option --provider')));
    assert.ok(lines.some((line) => line.startsWith('listen:') && line.includes('AMPHORAE_LISTEN')));
    assert.ok(lines.some((line) => line.startsWith('nodes:') && line.includes('amphorae.yaml')));
    assert.ok(lines.some((line) => line.startsWith('nonsense: unknown setting')));
  }
});

test('a file that cannot be read, or holds no mapping, is an error; an empty one is not', () => {
  assert.throws(() => loadConfig({ config: join(directory, 'none.yaml') }, {}), /cannot read/);
  assert.throws(() => loadConfig({ config: file('- a') }, {}), /expected a mapping/);
  assert.not.throws(() => loadConfig({ config: file('') }, {}));
});

test('a configuration survives the way to a child process through its environment', () => {
  const config = loadConfig({ roles: 'api', noop_fail: 'createServer:placement,attachPort:transient' }, {});
  assert.equal(loadConfig({}, toEnvironment(config)), config);
  const other = loadConfig({ vip_port_at_boot: 'false', enabled_providers: '' }, {});
  assert.equal(loadConfig({}, toEnvironment(other)), other);
});

test('numbers and flags are read strictly', () => {
  const wrong: [SettingName, string][] = [
    ['lease_seconds', '0'],
    ['actor_cache', '-1'],
    ['actor_cache', '1.5'],
    ['vip_port_at_boot', 'perhaps'],
    ['listen', '9876'],
    ['netns_management_bridge', 'a-name-too-long-for-a-link'],
  ];
  for (const [name, value] of wrong)
    assert.throws(() => loadConfig({ [name]: value }, {}), new RegExp(`^${name}: `));
});

test('a cloud of clouds.yaml says what nothing else does, and processes started with it need the file no more', () => {
  const os_client_config_file = join(directory, 'clouds.yaml');
  writeFileSync(
    os_client_config_file,
    `clouds:
  one:
    auth: {auth_url: "http://keystone.example/v3", username: amphorae, password: 007, project_name: service}
    region_name: north
  other: {auth: {auth_url: "http://other.example"}}`,
  );
  const options = { os_client_config_file, os_cloud: 'one' };
  const config = loadConfig(options, { OS_USERNAME: 'left over', AMPHORAE_OS_PROJECT_NAME: 'mine' });
  assert.equal(
    [
      config.os_auth_url,
      config.os_username,
      config.os_password,
      config.os_project_name,
      config.os_region_name,
    ],
    ['http://keystone.example/v3', 'amphorae', '7', 'mine', 'north'],
  );
  rmSync(os_client_config_file);
  assert.equal(loadConfig({}, { ...toEnvironment(config), OS_CLOUD: 'one' }), config);
});

test('a cloud that is not there is named, with those that are', () => {
  const os_client_config_file = join(directory, 'clouds.yaml');
  writeFileSync(os_client_config_file, 'clouds: {one: {auth: {}}, two: {auth: {}}}');
  const load = (changes: object) => () =>
    loadConfig({ os_client_config_file, os_cloud: 'three', ...changes }, {});
  assert.throws(load({}), /no cloud three, only one, two/);
  assert.throws(load({ os_client_config_file: '/none/clouds.yaml' }), /no clouds.yaml in \/none/);
  writeFileSync(os_client_config_file, 'clouds: [');
  assert.throws(load({}), (error: unknown) => error instanceof ConfigError);
});

test.run();
