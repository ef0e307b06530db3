// timeout: 120

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { namespaceName } from '../../src/providers/netns/names.ts';
import { initOf } from '../../src/providers/netns/processes.ts';
import { amphoraeOf, ask, type Stand, startStand, webListener } from '../support/stand.ts';

// From the death of an amphora to its replacement, without anybody asking for it.

let stand: Stand;
test.before(async () => {
  stand = await startStand({
    heartbeat_interval_seconds: 0.5,
    heartbeat_timeout_seconds: 3,
    heartbeat_check_seconds: 0.5,
    sweep_seconds: 0.5,
  });
});
test.after(() => stand?.stop());

test('an amphora that dies is replaced by itself, and traffic flows again', async () => {
  const { id, vip_address, provisioning_status } = await stand.create({ listeners: [webListener(stand)] });
  assert.is(provisioning_status, 'ACTIVE');
  const answer = () => ask(stand.client, `http://${vip_address}/`);
  assert.match((await answer()) ?? '', /^member-/);
  const [old] = await amphoraeOf(stand, id);
  const init = initOf(namespaceName(old?.id ?? ''));
  assert.ok(init !== undefined);
  process.kill(init, 'SIGKILL');

  await waitFor('another amphora in its place', 60, async () => {
    const amphorae = await amphoraeOf(stand, id);
    const [loadBalancer] = [await stand.settled(id)];
    const replaced = amphorae.length === 1 && amphorae[0]?.id !== old?.id;
    return (replaced && loadBalancer.provisioning_status === 'ACTIVE') || undefined;
  });
  assert.match((await waitFor('traffic', 10, answer)) ?? '', /^member-/);
  const { failovers } = await stand.system.api<{ failovers: Record<string, unknown> }>(
    'GET',
    '/v2.0/amphorae/failovers',
  );
  assert.equal(
    [failovers.state, failovers.stale_amphorae, failovers.running, failovers.begun_in_window],
    ['admitting', 0, 0, 1],
  );
  await stand.remove(id);
  assert.equal(await stand.remains(), []);
});

test.run();
