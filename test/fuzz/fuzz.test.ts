// timeout: 180
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fuzz } from './fuzz.ts';

test('5,000 requests, sound and spoilt, find no failure and no request that is not answered', async () => {
  const { statuses, failures } = await fuzz(5_000, 20_261_122);
  assert.equal(failures, []);
  // Enough of them get through to what lies behind the first check.
  const done = Object.entries(statuses).reduce(
    (sum, [status, count]) => sum + (status < '300' ? count : 0),
    0,
  );
  assert.ok(done > 1_000, JSON.stringify(statuses));
  for (const status of ['201', '400', '404', '409'])
    assert.ok((statuses[status] ?? 0) > 50, JSON.stringify(statuses));
});

test.run();
