// timeout: 120

import { sql } from 'kysely';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openLimiter } from '../../src/cli/serve/failover-limiter.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { createApi } from '../../src/http/app.ts';
import type { Effects } from '../../src/machines/effects.ts';
import { type Runtime, startRuntime } from '../support/runtime.ts';

// Automatic failovers on a real store, bus and node. Faults and storms: test/simulation.

let runtime: Runtime;
let node: { close(): Promise<void> };
let placement: Gate;
const log = pino({ level: 'silent' });
const config: Config = { ...loadConfig({}, {}), sweep_seconds: 0.05 };

test.before(async () => {
  runtime = await startRuntime();
  placement = new Gate();
  node = await runtime.startNode('limited', { effects: placement.before('placeServer') });
});
test.after(async () => {
  await node?.close();
  await runtime?.stop();
});

/** Holds up servers that are made for failovers, until it is opened. */
class Gate {
  #opened = Promise.resolve();
  open = () => {};

  close(): void {
    this.#opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  before = (name: 'placeServer') => (effects: Effects) => ({
    ...effects,
    [name]: {
      ...effects[name],
      run: async (...given: Parameters<Effects['placeServer']['run']>) => {
        await this.#opened;
        return effects[name].run(...given);
      },
    },
  });
}

const limited = async (settings: Partial<Config>, work: () => Promise<void>) => {
  const parts = { db: runtime.db, mailbox: runtime.mailbox, log, config: { ...config, ...settings } };
  const limiters = [openLimiter(parts), openLimiter(parts)];
  try {
    await work();
  } finally {
    placement.open();
    await Promise.all(limiters.map((limiter) => limiter.close()));
  }
};

const make = async (count: number) => {
  const ids = await Promise.all(Array.from({ length: count }, () => runtime.createLoadBalancer()));
  for (const id of ids) assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
  return ids;
};

const amphoraOf = async (loadBalancerId: string) =>
  runtime.db
    .selectFrom('amphorae')
    .select(['id', 'stale_since'])
    .where('load_balancer_id', '=', loadBalancerId)
    .executeTakeFirstOrThrow();

/** What health monitoring says of the amphora of each, and that it has been heard. */
async function say(type: 'AMPHORA_STALE' | 'AMPHORA_ALIVE', ids: string[]): Promise<string[]> {
  const amphorae = await Promise.all(ids.map(amphoraOf));
  for (const [index, id] of ids.entries()) {
    const envelope = await runtime.mailbox.send(
      runtime.db,
      { kind: 'load-balancer', id, loadBalancerId: id },
      { type, amphoraId: amphorae[index]?.id },
    );
    runtime.mailbox.publish(envelope);
  }
  await waitFor(`${type} to be noted`, 10, async () => {
    const { count } = await runtime.db
      .selectFrom('actor_events')
      .select((select) => select.fn.countAll<number>().as('count'))
      .where('actor_id', 'in', ids)
      .where(sql`event ->> 'type'`, '=', type)
      .executeTakeFirstOrThrow();
    return count >= ids.length ? true : undefined;
  });
  return amphorae.map(({ id }) => id);
}

/** Of those of these amphorae that exist, in this order. */
async function statuses(amphorae: string[]): Promise<string[]> {
  const rows = await runtime.db
    .selectFrom('amphorae')
    .select(['id', 'status'])
    .where('id', 'in', amphorae)
    .execute();
  return amphorae.flatMap((id) => rows.find((row) => row.id === id)?.status ?? []);
}

/** How often these load balancers were told that failovers are stopped. */
async function toldOfStop(ids: string[]): Promise<number> {
  const { count } = await runtime.db
    .selectFrom('actor_events')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('actor_id', 'in', ids)
    .where(sql`event ->> 'type'`, '=', 'AMPHORA_FAILOVER_STOPPED')
    .executeTakeFirstOrThrow();
  return count;
}

const running = async () => {
  const rows = await runtime.db
    .selectFrom('automatic_failovers')
    .select('load_balancer_id')
    .where('ended_at', 'is', null)
    .execute();
  return rows.map(({ load_balancer_id }) => load_balancer_id);
};

const replaced = (ids: string[], old: string[]) =>
  waitFor('the amphorae to be replaced', 30, async () => {
    const now = await Promise.all(ids.map((id) => amphoraOf(id).catch(() => undefined)));
    const done =
      now.every((amphora) => amphora && !old.includes(amphora.id)) && (await running()).length === 0;
    return done ? true : undefined;
  });

test('stale amphorae are replaced a few at a time, with two limiters at work', async () => {
  const ids = await make(5);
  const old = await say('AMPHORA_STALE', ids);
  placement.close();
  await limited({ failover_concurrency: 2, failover_stop_minimum: 100 }, async () => {
    await waitFor('failovers to begin', 10, async () => ((await running()).length > 0 ? true : undefined));
    // Looks enough for the others, if they could.
    await new Promise((resolve) => setTimeout(resolve, 400));
    const first = await running();
    assert.is(first.length, 2);
    const [status] = await Promise.all(first.map((id) => runtime.waitFor(id, ['PENDING_UPDATE'])));
    assert.is(status, 'PENDING_UPDATE');
    placement.open();
    await replaced(ids, old);
  });
  for (const id of ids) assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
});

test('the window bounds what begins, and one load balancer has one failover in it', async () => {
  await runtime.db.deleteFrom('automatic_failovers').execute();
  const ids = await make(3);
  const old = await say('AMPHORA_STALE', ids);
  await limited({ failover_window_limit: 2, failover_stop_minimum: 100 }, async () => {
    await waitFor('two to be replaced', 30, async () => {
      const now = await Promise.all(ids.map((id) => amphoraOf(id).catch(() => undefined)));
      return now.filter((amphora) => amphora && !old.includes(amphora.id)).length === 2 ? true : undefined;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { count } = await runtime.db
      .selectFrom('automatic_failovers')
      .select((select) => select.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    assert.is(count, 2);
  });
  await runtime.db.deleteFrom('automatic_failovers').execute();
  await limited({}, () => replaced(ids, old).then(() => {}));
});

test('an amphora that is heard of again is left alone', async () => {
  const ids = await make(1);
  const old = await say('AMPHORA_STALE', ids);
  await say('AMPHORA_ALIVE', ids);
  await limited({}, () => new Promise((resolve) => setTimeout(resolve, 300)));
  const [id] = ids as [string];
  assert.equal(await amphoraOf(id), { id: old[0], stale_since: null });
});

test('so much is stale that it stops, and all of it shows so; an operator has it go on; both are in the audit', async () => {
  await runtime.db.deleteFrom('automatic_failovers').execute();
  const ids = await make(4);
  const api = createApi({
    ...{ db: runtime.db, mailbox: runtime.mailbox, network: runtime.provider.network, log },
    config: loadConfig({}, {}),
  });
  const limiter = async (method: string, verb = '') => {
    const headers = { 'x-amphorae-operator': 'alice' };
    const answer = await api.request(`/v2.0/amphorae/failovers${verb}`, { method, headers });
    assert.is(answer.status, 200);
    return ((await answer.json()) as { failovers: Record<string, unknown> }).failovers;
  };
  const old = await say('AMPHORA_STALE', ids);
  await limited({ failover_stop_minimum: 2, failover_stop_percent: 10 }, async () => {
    const stopped = await waitFor('it to stop', 10, async () => {
      const found = await limiter('GET');
      return found.state === 'stopped' ? found : undefined;
    });
    assert.match(String(stopped.reason), /^4 of \d+ amphorae are stale, more than 10 %/);
    assert.equal([stopped.stale_amphorae, stopped.changed_by], [4, 'failover limiter']);
    await waitFor('all stale amphorae to show it', 10, async () =>
      (await statuses(old)).every((status) => status === 'FAILOVER_STOPPED') ? true : undefined,
    );
    const listed = await api.request('/v2.0/octavia/amphorae?status=FAILOVER_STOPPED');
    const { amphorae } = (await listed.json()) as { amphorae: { id: string }[] };
    assert.equal(amphorae.map(({ id }) => id).sort(), [...old].sort());

    await say('AMPHORA_ALIVE', ids.slice(0, 1));
    // Enough looks for the others to be told again, if they could.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [first, ...others] = await statuses(old);
    assert.equal([first, ...new Set(others)], ['ALLOCATED', 'FAILOVER_STOPPED']);
    assert.is(await toldOfStop(ids), ids.length);
    assert.equal(await running(), []);
    assert.is((await limiter('POST', '/resume')).state, 'overridden');
    await replaced(ids.slice(1), old);
    assert.equal(await statuses(old), ['ALLOCATED']);
    await waitFor('it to be as ever', 10, async () =>
      (await limiter('GET')).state === 'admitting' ? true : undefined,
    );
    assert.equal((await limiter('POST', '/stop')).reason, 'stopped by alice');
  });
  await limiter('POST', '/resume');
  const audit = await runtime.db
    .selectFrom('actor_audit')
    .select(['operator', 'action', 'actor_id'])
    .orderBy('created_at')
    .execute();
  const by = (operator: string, action: string) => ({ operator, action, actor_id: null });
  assert.equal(audit.slice(0, 4), [
    by('failover limiter', 'stop-failovers'),
    by('alice', 'resume-failovers'),
    by('failover limiter', 'resume-failovers'),
    by('alice', 'stop-failovers'),
  ]);
});

test('a failover that somebody asks for passes while all automatic ones are stopped', async () => {
  const [id] = (await make(1)) as [string];
  const { id: oldId } = await amphoraOf(id);
  await runtime.db.updateTable('failover_limiter').set({ state: 'stopped', changed_by: 'alice' }).execute();
  const api = createApi({
    ...{ db: runtime.db, mailbox: runtime.mailbox, network: runtime.provider.network, log },
    config: loadConfig({}, {}),
  });
  await limited({}, async () => {
    const { status } = await api.request(`/v2.0/lbaas/loadbalancers/${id}/failover`, { method: 'PUT' });
    assert.is(status, 202);
    await replaced([id], [oldId]);
  });
  assert.is(await runtime.waitFor(id, ['ACTIVE', 'ERROR']), 'ACTIVE');
});

test.run();
