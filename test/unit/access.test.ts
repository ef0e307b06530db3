import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkAccess } from '../../src/cli/serve/access.ts';
import { serviceAccount } from '../../src/cli/serve/service-account.ts';
import { type Config, loadConfig } from '../../src/config.ts';

const config = (changes: Partial<Config> = {}, environment: NodeJS.ProcessEnv = {}): Config => ({
  ...loadConfig({}, environment),
  ...changes,
});

test('without authentication it listens on loopback only, unless it is forced to do otherwise', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '[::1]', 'localhost'])
    checkAccess(config({ listen: `${host}:9876` }));
  for (const host of ['0.0.0.0', '[::]', '192.0.2.1', 'example.com', '[2001:db8::1]']) {
    const listen = `${host}:9876`;
    assert.throws(() => checkAccess(config({ listen })), /without authentication, everyone who reaches/);
    checkAccess(config({ listen, auth_none_anywhere: true }));
  }
});

const openrc = {
  OS_AUTH_URL: 'http://192.0.2.1:5000',
  OS_USERNAME: 'amphorae',
  OS_PASSWORD: 'secret',
  OS_PROJECT_NAME: 'service',
};

test('the variables of an openrc file are all that Keystone needs', () => {
  const settings = config({ auth: 'keystone' }, openrc);
  checkAccess(settings);
  assert.equal(serviceAccount(settings), {
    authUrl: openrc.OS_AUTH_URL,
    ca: undefined,
    method: {
      password: {
        user: { name: 'amphorae', domain: { name: 'Default' } },
        password: 'secret',
        project: { name: 'service', domain: { name: 'Default' } },
      },
    },
  });
  const ids = { ...openrc, OS_USER_DOMAIN_ID: 'd', OS_PROJECT_ID: 'p' };
  assert.match(
    JSON.stringify(serviceAccount(config({}, ids))),
    /"user":\{"name":"amphorae","domain":\{"id":"d"\}\}.*"project":\{"id":"p"\}/,
  );
  const application = {
    OS_AUTH_URL: 'x',
    OS_APPLICATION_CREDENTIAL_ID: 'i',
    OS_APPLICATION_CREDENTIAL_SECRET: 's',
  };
  assert.equal(serviceAccount(config({}, application)).method, {
    applicationCredential: { id: 'i', secret: 's' },
  });
});

test('what is missing is named', () => {
  for (const name of Object.keys(openrc)) {
    const settings = config({ auth: 'keystone' }, { ...openrc, [name]: undefined });
    assert.throws(() => checkAccess(settings), new RegExp(name));
  }
  const missing = config({ auth: 'keystone', policy_file: '/nonexistent.yaml' }, openrc);
  assert.throws(() => checkAccess(missing), /cannot read \/nonexistent.yaml/);
});

test.run();
