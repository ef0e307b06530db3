import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ActorStore, Commit, Step } from '../../src/actors/store.ts';
import type { RowChange } from '../../src/machines/row-change.ts';
import type { NodeOrgans } from './cluster.ts';
import { type Bug, simulate } from './simulation.ts';
import { SimulatedStore } from './store.ts';

/** By how many seeds each bug must have been noticed. */
const SEEDS = 600;

class UnfencedStore extends SimulatedStore {
  protected override owns(): boolean {
    return true;
  }
}

class ForgetfulStore extends SimulatedStore {
  protected override consume(commit: Commit): boolean {
    super.consume(commit);
    return true;
  }
}

class HastyStore extends SimulatedStore {
  protected override inOrder(): boolean {
    return true;
  }
}

class PushyStore extends SimulatedStore {
  protected override inOrder(commit: Commit): boolean {
    return super.inOrder({ ...commit, followers: [] });
  }
}

/** Commits are made otherwise than the nodes ask for. */
const committing = (change: (commit: Commit, organs: NodeOrgans) => Commit) => (organs: NodeOrgans) => {
  const store: ActorStore = {
    ...organs.store,
    commit: (commit) => organs.store.commit(change(commit, organs)),
  };
  return { ...organs, store };
};

const bugs: Record<string, { bug: Bug; noticed: RegExp }> = {
  'commits are not fenced': {
    bug: { Store: UnfencedStore },
    noticed: /the partition is/,
  },
  'agents obey whoever calls': {
    bug: { obedientAgents: true },
    noticed: /obeyed epoch/,
  },
  'messages are not taken away by the commit that processes them': {
    bug: { Store: ForgetfulStore },
    noticed: /twice/,
  },
  'messages are processed as they come': {
    bug: { Store: HastyStore },
    noticed: /took message \d+ after \d+/,
  },
  'what is taken at once overtakes what waits': {
    bug: { Store: PushyStore },
    noticed: /took \w+ before \d+/,
  },
  'effects run before the commit that starts them': {
    bug: { surgery: committing(runEffects) },
    noticed: /before its commit/,
  },
  'timers are lost': {
    bug: {
      surgery: committing((commit) => ({ ...commit, outcome: { ...commit.outcome, armedTimers: [] } })),
    },
    noticed: /no rest/,
  },
  'a revision counts as applied when the one before it is': {
    bug: { surgery: committing(settleTooMuch) },
    noticed: /settled, but/,
  },
  'an amphora that a pair goes on without counts as in step': {
    bug: { surgery: committing(excludeNobody) },
    noticed: /settled, but the/,
  },
  'what the bus lost is not looked for': {
    bug: {
      surgery: (organs) => ({ ...organs, store: { ...organs.store, waiting: async () => [] } }),
    },
    noticed: /no rest/,
  },
  'automatic failovers are not counted': {
    bug: { forgetfulLimiter: true },
    noticed: /automatic failovers at once/,
  },
  'nobody looks for what a stopped process did late': {
    bug: { untidy: true, faults: { worldHeldUp: 0.2 } },
    noticed: /leaked/,
  },
  'an amphora is released without its ports': {
    bug: { surgery: releaseNothing },
    noticed: /leaked/,
  },
};

for (const [name, { bug, noticed }] of Object.entries(bugs)) {
  test(`it is noticed when ${name}`, async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const violations = await simulate({ seed, bug });
      if (violations.some((violation) => noticed.test(violation))) return;
    }
    assert.unreachable(`not noticed in ${SEEDS} seeds`);
  });
}

function runEffects(commit: Commit, { effects }: NodeOrgans): Commit {
  const { actor, outcome, epoch } = commit;
  for (const id of outcome.startedEffects) {
    const running = outcome.effects[id];
    if (running === undefined) continue;
    const { signal } = new AbortController();
    const requestId = `${actor.kind}/${actor.id}/${running.token}`;
    effects[running.src].run(running.input as never, { signal, epoch, requestId }).catch(() => {});
  }
  return commit;
}

function settleTooMuch(commit: Commit): Commit {
  const tooMuch = <S extends Step>(step: S): S => {
    const rowChanges = step.outcome.rowChanges.map((change) =>
      change.op === 'settle' ? { ...change, revision: change.revision + 1 } : change,
    );
    return { ...step, outcome: { ...step.outcome, rowChanges } };
  };
  return { ...tooMuch(commit), followers: commit.followers.map(tooMuch) };
}

function excludeNobody(commit: Commit): Commit {
  const asBefore = <S extends Step>(step: S): S => {
    const excluding = (change: RowChange) =>
      change.op === 'patchAmphora' && step.outcome.state.startsWith('excluded');
    const rowChanges = step.outcome.rowChanges.filter((change) => !excluding(change));
    return { ...step, outcome: { ...step.outcome, rowChanges } };
  };
  return { ...asBefore(commit), followers: commit.followers.map(asBefore) };
}

function releaseNothing(organs: NodeOrgans): NodeOrgans {
  const { releaseAmphora } = organs.effects;
  const effects = { ...organs.effects, releaseAmphora: { ...releaseAmphora, run: async () => null } };
  return { ...organs, effects };
}

test.run();
