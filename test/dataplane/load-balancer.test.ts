// timeout: 240
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { amphoraeOf, ask, CIDR6, inAmphora, type Stand, startStand, webListener } from '../support/stand.ts';
import type { LoadBalancer } from '../support/system.ts';

// One load balancer lives through this file, from its creation to its removal: calls, and what the network shows after
// each. The client has an address that listeners allow (192.0.2.210) and one that they do not (192.0.2.99).

let stand: Stand;
let balancer: LoadBalancer;
let amphora: Awaited<ReturnType<typeof amphoraeOf>>[number];
let vip6: string;

test.before(async () => {
  stand = await startStand();
  balancer = await stand.create({
    name: 'story',
    additional_vips: [{ subnet_id: stand.network.subnet6 }],
    listeners: [webListener(stand, { name: 'web', allowed_cidrs: ['192.0.2.128/25', '2001:db8:5::d0/124'] })],
  });
  [amphora] = (await amphoraeOf(stand, balancer.id)) as [typeof amphora];
  vip6 = (balancer.additional_vips as { ip_address: string }[])[0]?.ip_address ?? '';
});
test.after(() => stand?.stop());

const url = (port = 80) => `http://${balancer.vip_address}:${port}/`;

test('traffic is balanced over both members, over IPv4 and IPv6', async () => {
  assert.is(balancer.provisioning_status, 'ACTIVE');
  for (const [target, from] of [
    [url(), '192.0.2.210'],
    [`http://[${vip6}]/`, '2001:db8:5::d2'],
  ] as const) {
    const answers: (string | undefined)[] = [];
    for (let index = 0; index < 10; index += 1) answers.push(await ask(stand.client, target, from));
    assert.equal(answers.filter((each) => each === 'member-1').length, 5, target);
    assert.equal(answers.filter((each) => each === 'member-2').length, 5, target);
  }
});

test('who is not in allowed_cidrs gets no answer, over IPv4 and IPv6', async () => {
  assert.is(await ask(stand.client, url(), '192.0.2.99'), undefined);
  assert.ok(await ask(stand.client, url(), '192.0.2.210'));
  assert.is(await ask(stand.client, `http://[${vip6}]/`, '2001:db8:5::63'), undefined);
  assert.ok(await ask(stand.client, `http://[${vip6}]/`, '2001:db8:5::d2'));
});

test('a closed port gives no answer, not even a refusal', async () => {
  const started = Date.now();
  assert.is(await ask(stand.client, url(81)), undefined);
  assert.is(await ask(stand.client, `http://${amphora.vrrp_ip}:80/`), undefined);
  assert.ok(Date.now() - started >= 1_900, 'both attempts ran into their time-out');
});

test('a member cannot open a connection into the amphora', async () => {
  const [member] = stand.members;
  for (const port of [22, 1025, 9443]) {
    for (const address of [balancer.vip_address, amphora.vrrp_ip]) {
      const source = ['--local-port', '8081'];
      const command = ['curl', '--silent', '--max-time', '1', ...source, `http://${address}:${port}/`];
      const outcome = await member?.namespace.exec(command).then(
        () => 'answered',
        (error: { code: number }) => error.code,
      );
      assert.is(outcome, 28, `${address}:${port} runs into the time-out (curl's exit code 28)`);
    }
  }
});

test('nothing is tracked: the firewall is stateless', () => {
  assert.is(inAmphora(amphora.id, ['conntrack', '-C']).trim(), '0');
  const ruleset = inAmphora(amphora.id, ['nft', 'list', 'ruleset']);
  assert.not.match(ruleset, /\bct (state|status|mark)\b/);
});

test('a listener that is added serves, and one that is deleted is closed', async () => {
  const { listener } = await stand.system.api<{ listener: { id: string } }>('POST', '/v2.0/lbaas/listeners', {
    listener: {
      loadbalancer_id: balancer.id,
      protocol: 'TCP',
      protocol_port: 8443,
    },
  });
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  await stand.system
    .api('POST', '/v2.0/lbaas/pools', {
      pool: {
        listener_id: listener.id,
        protocol: 'TCP',
        lb_algorithm: 'SOURCE_IP',
      },
    })
    .then(async (created) => {
      await stand.settled(balancer.id);
      const { pool } = created as { pool: { id: string } };
      await stand.system.api('POST', `/v2.0/lbaas/pools/${pool.id}/members`, {
        member: { address: stand.members[0]?.address4, protocol_port: 8080 },
      });
      await stand.settled(balancer.id);
    });
  assert.is(await ask(stand.client, url(8443)), 'member-1');
  await stand.system.api('DELETE', `/v2.0/lbaas/listeners/${listener.id}`);
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  assert.is(await ask(stand.client, url(8443)), undefined);
  assert.ok(await ask(stand.client, url()), 'the other listener still serves');
});

test('changed allowed_cidrs take effect', async () => {
  const { listeners } = await stand.system.api<{ listeners: { id: string }[] }>(
    'GET',
    '/v2.0/lbaas/listeners?name=web',
  );
  const change = (allowed_cidrs: string[]) =>
    stand.system.api('PUT', `/v2.0/lbaas/listeners/${listeners[0]?.id}`, { listener: { allowed_cidrs } });
  await change(['192.0.2.99/32']);
  await stand.settled(balancer.id);
  assert.ok(await ask(stand.client, url(), '192.0.2.99'));
  assert.is(await ask(stand.client, url(), '192.0.2.210'), undefined);
  await change(['192.0.2.0/24', CIDR6]);
  await stand.settled(balancer.id);
  assert.ok(await ask(stand.client, url(), '192.0.2.210'));
});

test('rules are replaced 200 times under load without one failed request', async () => {
  const { listeners } = await stand.system.api<{ listeners: { id: string }[] }>(
    'GET',
    '/v2.0/lbaas/listeners?name=web',
  );
  let replacing = true;
  const load = Array.from({ length: 4 }, async () => {
    let [answered, failed] = [0, 0];
    while (replacing) {
      if (await ask(stand.client, url())) answered += 1;
      else failed += 1;
    }
    return { answered, failed };
  });
  for (let round = 0; round < 200; round += 1) {
    await stand.system.api('PUT', `/v2.0/lbaas/listeners/${listeners[0]?.id}`, {
      listener: { allowed_cidrs: ['192.0.2.0/24', `203.0.113.${round}/32`] },
    });
    assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  }
  replacing = false;
  const totals = await Promise.all(load);
  assert.is(
    totals.reduce((sum, { failed }) => sum + failed, 0),
    0,
  );
  assert.ok(totals.reduce((sum, { answered }) => sum + answered, 0) > 200, 'there was load');
});

test('traffic goes on while the control plane is down, and everything is found again', async () => {
  await stand.system.crash();
  assert.ok(await ask(stand.client, url()));
  await stand.system.restart();
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  await stand.system.api('PUT', `/v2.0/lbaas/loadbalancers/${balancer.id}`, {
    loadbalancer: { name: 'renamed' },
  });
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
  assert.ok(await ask(stand.client, url()));
});

test('deleted, it leaves nothing', async () => {
  await stand.remove(balancer.id);
  assert.is(await ask(stand.client, url()), undefined);
  assert.equal(await stand.remains(), []);
});

test.run();
