import { waitFor } from '../../src/cli/up/wait.ts';
import type { Config } from '../../src/config.ts';
import { Api } from './api.ts';
import { LOAD_BALANCERS } from './balancer.ts';
import { strayResources, wrongDataPlane } from './data-plane.ts';
import { keepEvidence } from './evidence.ts';
import { makeFaults } from './faults.ts';
import { brokenPromises, crashes, strayRows, unfinished } from './inspection.ts';
import { Random } from './random.ts';
import { openSite, type Site } from './site.ts';
import { User } from './user.ts';

export interface ChaosOptions {
  provider: Config['provider'];
  seed: number;
  /** How long there are faults and users. */
  seconds: number;
  /** At most this many load balancers at a time. */
  balancers: number;
  users: number;
  /** Takes a line for each thing that happens. */
  say(text: string): void;
}

export interface Verdict {
  faults: Record<string, number>;
  /** Calls of the users by what came of them. */
  answers: Record<string, number>;
  /** Load balancers at the end. */
  balancers: number;
  /** From the last fault until nothing was PENDING and no message waited. */
  quietAfterSeconds: number;
  /** Every way in which a promise was broken; empty is what we want. */
  problems: string[];
}

/** Whatever happened before, everything has its final status this long after the last fault. */
const QUIET_SECONDS = 60;

/**
 * Let users work against a control plane whose processes die and stop at random moments, and judge from outside, once
 * that is over, whether it kept its promises: nothing stuck, nothing leaked, every accepted call in force.
 */
export async function chaos(options: ChaosOptions): Promise<Verdict> {
  const site = await openSite(options.provider);
  try {
    const verdict = await runAndJudge(site, options);
    if (verdict.problems.length > 0) options.say(`logs and history: ${await keepEvidence(site)}`);
    return verdict;
  } finally {
    await site.stop();
  }
}

async function runAndJudge(site: Site, options: ChaosOptions): Promise<Verdict> {
  const { system, db, stand } = site;
  const random = new Random(options.seed);
  const api = new Api(system.url);
  const journal = { answers: new Map<string, number>(), complaints: [] as string[] };
  const users = Array.from(
    { length: options.users },
    (_, index) =>
      new User(api, {
        name: `user-${index + 1}`,
        balancers: Math.ceil(options.balancers / options.users),
        random: random.fork(),
        site,
        journal,
      }),
  );

  const over = AbortSignal.timeout(options.seconds * 1000);
  const [faults] = await Promise.all([
    makeFaults({ system, random: random.fork(), say: options.say }, over),
    ...users.map((user) => user.work(over)),
  ]);

  options.say('no more faults');
  const since = performance.now();
  let left: string[] = [];
  await waitFor('everything to be finished', QUIET_SECONDS, async () => {
    left = await unfinished(db);
    return left.length === 0 ? true : undefined;
  }).catch(() => options.say(`unfinished: ${left.join(', ')}`));
  const quietAfterSeconds = Math.round((performance.now() - since) / 100) / 10;
  await waitFor('the API to tell what became of every call', 30, async () => {
    if ((await api.list(`${LOAD_BALANCERS}?limit=1`, 'loadbalancers')) === undefined) return undefined;
    return (await Promise.all(users.map((user) => user.resolve()))).every(Boolean) ? true : undefined;
  });

  const entries = users.flatMap((user) => user.entries);
  return {
    faults: Object.fromEntries([...faults].sort()),
    answers: Object.fromEntries([...journal.answers].sort()),
    balancers: entries.length,
    quietAfterSeconds,
    problems: [
      ...journal.complaints,
      ...left.map((work) => `unfinished after ${QUIET_SECONDS} s: ${work}`),
      ...(await brokenPromises(api, entries)),
      ...(await strayRows(db)),
      ...crashes(system.dataDir),
      ...(stand ? [...(await strayResources(stand)), ...(await wrongDataPlane(stand, entries))] : []),
    ],
  };
}
