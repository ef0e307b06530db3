import { test } from 'uvu';
import { startFakeKeystone } from '../support/fake-keystone.ts';
import { testAuthentication } from './api-auth.ts';

await testAuthentication(await startFakeKeystone(), 0.5);

test.run();
