import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openAccess } from '../../src/cli/serve/access.ts';
import { loadConfig } from '../../src/config.ts';
import { startFakeKeystone } from '../support/fake-keystone.ts';
import { accountSettings } from '../support/keystone.ts';
import { testAuthentication } from './api-auth.ts';

const keystone = await startFakeKeystone();
await testAuthentication(keystone, 0.5);

test('a Keystone that has forgotten our own token is asked for another one', async () => {
  const config = { ...loadConfig({}, {}), auth: 'keystone' as const, ...accountSettings(keystone.url) };
  const { access, close } = await openAccess(config, pino({ level: 'silent' }));
  try {
    keystone.forgetAll();
    const token = await keystone.token('operator');
    assert.is((await access?.subject(token))?.userName, 'operator');
  } finally {
    await close();
  }
});

test.run();
