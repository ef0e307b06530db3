import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { AmphoraRef, Effects } from '../../src/machines/effects.ts';
import type { EffectContext } from '../../src/model/effect.ts';
import { TransientError } from '../../src/model/errors.ts';
import { loadGraph } from '../../src/store/load-balancer-graph.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

// A pair on a real store, bus and node, of which one amphora does not answer. Real amphorae: test/dataplane/standby.test.ts.

let runtime: Runtime;
let node: { close(): Promise<void> };
/** Amphorae that hang, and those that are refused at once. */
const silent = new Set<string>();
const dead = new Set<string>();

test.before(async () => {
  runtime = await startRuntime();
  node = await runtime.startNode('pair', {
    effects: (effects) => ({
      ...effects,
      pushConfig: away(effects.pushConfig),
      pushFirewall: away(effects.pushFirewall),
      tryFirewall: away(effects.tryFirewall),
    }),
  });
});
test.before.each(() => {
  silent.clear();
  dead.clear();
});
test.after(async () => {
  await node?.close();
  await runtime?.stop();
});

function away(effect: Effects['pushConfig']): Effects['pushConfig'] {
  return {
    retry: { ...effect.retry, attempts: 1 },
    run: async (reference: AmphoraRef, context: EffectContext) => {
      const { amphoraId } = reference;
      if (dead.has(amphoraId)) throw new TransientError('agent_unreachable', 'nobody there');
      if (silent.has(amphoraId)) await aborted(context.signal);
      return effect.run(reference as never, context);
    },
  };
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

for (const [how, where] of [
  ['says nothing', silent],
  ['is unreachable', dead],
] as const) {
  test(`an amphora that ${how} shows ERROR, and changes are in force without it until it is back`, async () => {
    const [id, stays, goes] = await createPair();
    const before = pushed(stays);
    assert.is(before.peers.length, 1);
    where.add(goes);
    await change(id);
    assert.equal(await statuses(id), { [stays]: 'ALLOCATED', [goes]: 'ERROR' });
    assert.equal(pushed(stays).peers, []);
    assert.is.not(pushed(stays).keepalived, before.keepalived);
    const reason = await runtime.db
      .selectFrom('amphorae')
      .select('error_code')
      .where('id', '=', goes)
      .executeTakeFirst();
    assert.is(reason?.error_code, where === dead ? 'agent_unreachable' : 'amphora_late');
    const beganAt = performance.now();
    await change(id);
    assert.ok(performance.now() - beganAt < 900, 'the second change does not wait for it');

    where.clear();
    await waitFor('it to be back', 20, async () => {
      const is = await statuses(id);
      const allocated = is[goes] === 'ALLOCATED' && is[stays] === 'ALLOCATED';
      return (allocated && pushed(stays).peers.length === 1) || undefined;
    });
    assert.is(pushed(stays).keepalived, before.keepalived);
    assert.is(pushed(goes).peers.length, 1);
    assert.equal(pushed(goes).rules, pushed(stays).rules);
    const { revision } = (await loadGraph(runtime.db, id)) ?? {};
    assert.equal(await appliedRevisions(id), [revision, revision]);
    assert.is(await runtime.waitFor(id, ['ACTIVE']), 'ACTIVE');
  });
}

test('when both are away the change fails, and the load balancer takes the next', async () => {
  const [id, ...both] = await createPair();
  for (const each of both) dead.add(each);
  await change(id);
  const listener = await runtime.db
    .selectFrom('listeners')
    .select(['provisioning_status', 'error_code'])
    .where('load_balancer_id', '=', id)
    .executeTakeFirst();
  assert.equal(listener, { provisioning_status: 'ERROR', error_code: 'agent_unreachable' });
  dead.clear();
  await change(id);
  await waitFor('both to serve', 20, async () => {
    const all = Object.values(await statuses(id));
    return all.every((status) => status === 'ALLOCATED') || undefined;
  });
});

test('a load balancer of which one amphora is away can be deleted', async () => {
  const [id, , goes] = await createPair();
  silent.add(goes);
  await change(id);
  runtime.mailbox.publish(await runtime.mailbox.send(runtime.db, addressOf(id), { type: 'DELETE' }));
  await runtime.waitFor(id, ['DELETED']);
  assert.equal(await statuses(id), {});
});

/** What the amphora was told last. */
function pushed(amphoraId: string) {
  const { securityGroup, keepalived } = runtime.provider.amphora(amphoraId) ?? {};
  return {
    peers: securityGroup?.vrrp_peers ?? [],
    rules: securityGroup?.rules,
    keepalived: keepalived?.hash,
  };
}

async function createPair(): Promise<[loadBalancer: string, one: string, other: string]> {
  const id = await runtime.createLoadBalancer({ topology: 'ACTIVE_STANDBY' });
  await runtime.waitFor(id, ['ACTIVE']);
  const [one, other] = Object.keys(await statuses(id)) as [string, string];
  return [id, one, other];
}

/** Change the listener of a load balancer as the API does, and wait for the end of it. */
async function change(id: string): Promise<void> {
  const envelope = await runtime.db.transaction().execute(async (transaction) => {
    const { desired_revision: revision } = await transaction
      .updateTable('load_balancers')
      .set((row) => ({
        desired_revision: row('desired_revision', '+', 1),
        provisioning_status: 'PENDING_UPDATE',
      }))
      .where('id', '=', id)
      .returning('desired_revision')
      .executeTakeFirstOrThrow();
    await transaction
      .updateTable('listeners')
      .set({ provisioning_status: 'PENDING_UPDATE', revision })
      .where('load_balancer_id', '=', id)
      .execute();
    const event = { type: 'CHANGED', revision, memberPorts: false, subject: 'child' } as const;
    return runtime.mailbox.send(transaction, addressOf(id), event);
  });
  runtime.mailbox.publish(envelope);
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
}

const addressOf = (id: string) => ({ kind: 'load-balancer', id, loadBalancerId: id }) as const;

const amphoraeOf = (id: string) =>
  runtime.db.selectFrom('amphorae').selectAll().where('load_balancer_id', '=', id).orderBy('role').execute();

async function statuses(id: string): Promise<Record<string, string>> {
  return Object.fromEntries((await amphoraeOf(id)).map(({ id, status }) => [id, status]));
}

async function appliedRevisions(id: string): Promise<number[]> {
  return (await amphoraeOf(id)).map(({ applied_revision }) => Number(applied_revision));
}

test.run();
