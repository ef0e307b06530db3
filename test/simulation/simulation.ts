import pino, { type Logger } from 'pino';
import { SimulatedBus } from './bus.ts';
import { Client } from './client.ts';
import {
  CLOCK_STEP_MS,
  Cluster,
  EFFECT_MS,
  HELD_UP_MS,
  LEASE_MS,
  type NodeOrgans,
  RENEWED_MS,
  REST_MS,
} from './cluster.ts';
import { SimulatedFailovers } from './failover-queue.ts';
import { calm, type Faults } from './faults.ts';
import { Heartbeats } from './heartbeats.ts';
import { ORPHANED_MS } from './housekeeping.ts';
import { Invariants } from './invariants.ts';
import { Random } from './random.ts';
import { isPending, Rows } from './rows.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { SimulatedStore } from './store.ts';
import { VirtualTime } from './virtual-time.ts';
import { World } from './world.ts';

/** A defect put in on purpose, to see whether the invariants notice it. */
export interface Bug {
  Store?: typeof SimulatedStore;
  surgery?(organs: NodeOrgans): NodeOrgans;
  /** Agents obey every epoch. */
  obedientAgents?: boolean;
  /** The limiter does not count what is in progress. */
  forgetfulLimiter?: boolean;
  /** Nobody looks for what was done late. */
  untidy?: boolean;
  /** Faults without which the bug seldom shows, in every run. */
  faults?: Partial<Faults>;
}

export interface SimulationOptions {
  seed: number;
  bug?: Bug;
  /** Receives a line for everything that happens. */
  trace?: (line: string) => void;
}

const STORM_MS = 40_000;

/** How often a load balancer may need to be asked to go: its first deletions may have met what still hung. */
const DELETIONS = 20;

/**
 * A few load balancers in a few nodes, users who change them, and faults, all from one seed. After a while the faults
 * stop and everything must come to rest; then all is deleted and nothing may remain.
 * @returns what was violated
 */
export async function simulate({ seed, bug = {}, trace }: SimulationOptions): Promise<string[]> {
  const random = new Random(seed);
  const time = new VirtualTime();
  const rows = new Rows(() => time.now);
  const faults: Faults = { ...calm };
  const invariants = new Invariants(rows, () => time.now);
  /** How far the database's clock is off. */
  const clock = { offMs: 0 };
  const store = new (bug.Store ?? SimulatedStore)({
    now: () => time.now + clock.offMs,
    random,
    applyRowChange: (change) => rows.apply(change),
  });
  const world = new World(() => time.now, invariants, { fencing: bug.obedientAgents !== true });
  const bus = new SimulatedBus(time, random, faults);
  const failovers = new SimulatedFailovers(rows, store, {
    now: () => time.now,
    counting: bug.forgetfulLimiter !== true,
  });
  const tell = (text: string) => trace?.(`${(time.now / 1000).toFixed(3).padStart(8)}  ${text}`);
  const surgery = (organs: NodeOrgans) => bug.surgery?.(organs) ?? organs;
  const log = (process: SimulatedProcess) => (trace ? loggerOf(process, tell) : silent);
  const cluster = new Cluster(
    {
      ...{ time, random, faults, rows, store, world, failovers, bus, invariants },
      log,
      tell,
      surgery,
      tidy: bug.untidy !== true,
    },
    1 + random.below(3),
  );
  const api = bus.connect(new SimulatedProcess('api', time, random));
  const client = new Client({ rows, store, bus: api, random, invariants, queueing: random.chance(0.3) });

  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    time.after(random.between(0, STORM_MS / 3), () => client.create());
  }
  for (let count = 4 + random.below(12); count > 0; count -= 1) {
    time.after(random.between(STORM_MS / 8, STORM_MS), () => client.change());
  }
  const heartbeats = new Heartbeats({ rows, store, bus: api, random });
  brew({
    time,
    random,
    faults,
    wanted: bug.faults,
    clock,
    cluster,
    store,
    rows,
    world,
    heartbeats,
    invariants,
    tell,
  });
  await time.run(() => false, STORM_MS);

  tell('the faults stop');
  const prompt = faults.deaf === 0 && faults.storeHeldUp === 0 && faults.worldHeldUp === 0;
  Object.assign(faults, calm);
  world.goOn();
  for (const process of cluster.processes()) process.continue();
  await rest();
  await time.run(() => false, HELD_UP_MS + ORPHANED_MS);
  if (invariants.violations.length === 0) invariants.atRest(store, world);

  for (let round = 0; round < DELETIONS && invariants.violations.length === 0; round += 1) {
    const left = [...rows.loadBalancers.values()].filter(({ status }) => status !== 'DELETED');
    if (left.length === 0) break;
    tell(`${left.length} load balancers are to go`);
    for (const loadBalancer of left) client.delete(loadBalancer);
    await rest();
  }
  for (const { id, status } of rows.loadBalancers.values()) {
    if (status !== 'DELETED') invariants.violated(`load balancer ${id} cannot be deleted: ${status}`);
  }
  await time.run(() => false, HELD_UP_MS + ORPHANED_MS);
  invariants.atRest(store, world);
  return invariants.violations;

  async function rest(): Promise<void> {
    const begin = time.now;
    const waiting = store
      .actors()
      .filter(({ effects }) => Object.keys(effects).length > 0)
      .map((actor) => ({ ...actor }));
    let limitMs = REST_MS;
    while (!resting(rows, store)) {
      if (rows.stale().length > 0 || rows.excluded().length > 0) limitMs = RENEWED_MS;
      if (time.now > begin + limitMs) return invariants.stuck(store);
      // An operator looks after what has stopped by itself.
      if (failovers.state === 'stopped') failovers.resume();
      // An effect that takes longer is not run by anyone: it waits for the chart's deadline.
      if (prompt && time.now > begin + EFFECT_MS) invariants.moved(store, waiting.splice(0));
      await time.run(() => false, 500);
    }
  }
}

function resting(rows: Rows, store: SimulatedStore): boolean {
  const settled = ({ status }: { status: string }) => !isPending(status as never);
  return (
    store.messages().length === 0 &&
    rows.stale().length === 0 &&
    rows.excluded().length === 0 &&
    [...rows.loadBalancers.values(), ...rows.children.values()].every(settled) &&
    store.actors().every(({ effects }) => Object.keys(effects).length === 0)
  );
}

/** Decide what goes wrong, and when. */
function brew(parts: {
  time: VirtualTime;
  random: Random;
  faults: Faults;
  wanted: Partial<Faults> | undefined;
  clock: { offMs: number };
  cluster: Cluster;
  store: SimulatedStore;
  rows: Rows;
  world: World;
  heartbeats: Heartbeats;
  invariants: Invariants;
  tell(text: string): void;
}): void {
  const { time, random, faults, wanted, clock, cluster, store, rows, world } = parts;
  const { heartbeats, invariants, tell } = parts;
  // Some runs have bad links and some have not, so that a failure of processes is also seen alone.
  const sometimes = (most: number) => (random.chance(0.5) ? random.between(0, most) : 0);
  Object.assign(faults, {
    storeRefuses: sometimes(0.05),
    storeAnswerLost: sometimes(0.05),
    storeHeldUp: random.chance(0.3) ? random.between(0, 0.03) : 0,
    storeDelayMs: random.between(1, 30),
    messageLost: sometimes(0.5),
    messageDuplicated: sometimes(0.5),
    messageDelayMs: random.between(1, 500),
    placement: sometimes(0.03),
    transient: sometimes(0.3),
    terminal: sometimes(0.05),
    worldAnswerLost: sometimes(0.1),
    agentHeldUp: sometimes(0.1),
    worldHeldUp: random.chance(0.3) ? random.between(0, 0.1) : 0,
    hang: sometimes(0.1),
    deaf: random.chance(0.2) ? 0.03 : 0,
    worldDelayMs: random.between(1, 300),
    ...wanted,
  });
  const { storeRefuses } = faults;
  if (faults.deaf > 0 || faults.storeHeldUp > 0 || faults.worldHeldUp > 0) invariants.lateCalls();
  const blows = [
    (process: SimulatedProcess) => {
      tell(`${process.name} is killed`);
      cluster.kill(process);
    },
    (process: SimulatedProcess) => {
      const pauseMs = random.between(0.2, 3) * LEASE_MS;
      tell(`${process.name} is stopped for ${pauseMs.toFixed(0)} ms`);
      process.stop();
      time.after(pauseMs, () => process.continue());
    },
    (process: SimulatedProcess) => {
      tell(`${process.name} is to end`);
      void cluster.close(process);
    },
    ({ name }: SimulatedProcess) => {
      const drainedMs = Math.min(random.between(0.5, 3) * LEASE_MS, STORM_MS - time.now);
      tell(`${name} is drained for ${drainedMs.toFixed(0)} ms`);
      store.drain(name, true);
      time.after(drainedMs, () => store.drain(name, false));
    },
    () => {
      const byMs = random.between(-CLOCK_STEP_MS, CLOCK_STEP_MS);
      tell(`the store's clock is set by ${byMs.toFixed(0)} ms`);
      clock.offMs += byMs;
    },
    () => {
      const outageMs = random.between(0.1, 2) * LEASE_MS;
      tell(`the store is down for ${outageMs.toFixed(0)} ms`);
      faults.storeRefuses = 1;
      time.after(outageMs, () => {
        if (time.now < STORM_MS) faults.storeRefuses = storeRefuses;
      });
    },
  ];
  for (let count = random.below(4); count > 0; count -= 1) {
    time.after(random.between(STORM_MS / 8, STORM_MS), () => {
      const amphora = random.pick([...rows.amphorae.values()]);
      if (amphora === undefined) return;
      tell(`the agent of ${amphora.id} stands still`);
      world.stop(amphora.id);
      time.after(random.between(1_000, STORM_MS), () => world.goOn([amphora.id]));
    });
  }
  // From one amphora that dies to a network in which none is heard.
  for (let count = random.chance(0.4) ? 1 + random.below(2) : 0; count > 0; count -= 1) {
    const probability = random.between(0.2, 1);
    time.after(random.between(STORM_MS / 4, STORM_MS), () => {
      tell(`heartbeats stop with a probability of ${probability.toFixed(2)}`);
      heartbeats.stop(probability);
    });
    if (random.chance(0.3)) {
      time.after(random.between(STORM_MS / 2, STORM_MS), () => heartbeats.return(random.next()));
    }
  }
  for (let count = random.below(7); count > 0; count -= 1) {
    time.after(random.between(0, STORM_MS), () => {
      const process = random.pick(cluster.processes());
      if (process === undefined) return;
      invariants.lateCalls();
      random.pick(blows)?.(process);
    });
  }
}

const silent = pino({ level: 'silent' });

function loggerOf(process: SimulatedProcess, tell: (text: string) => void): Logger {
  const write = (line: string) => {
    const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string } };
    tell(`${process.name} ${msg}${err ? `: ${err.message}` : ''}`);
  };
  return pino({ level: 'info', base: null, timestamp: false }, { write });
}
