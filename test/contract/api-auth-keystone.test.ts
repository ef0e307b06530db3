// timeout: 180
import { test } from 'uvu';
import { startKeystone } from '../support/keystone.ts';
import { testAuthentication } from './api-auth.ts';

await testAuthentication(await startKeystone(), 3);

test.run();
