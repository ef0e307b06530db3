import { Alarm } from '../../status/alarm.ts';
import {
  changedActors,
  countActors,
  databaseTime,
  listedActors,
  partitionOwners,
} from '../../store/actor-list.ts';
import type { ActorRef } from '../../store/actors.ts';
import type { Charts } from '../../visualizer/charts.ts';
import type { Api } from '../api.ts';
import { eventBlock } from '../event-streams.ts';
import { actorRow, keyOf, versionOf } from './list-page.ts';
import { failureStates, filterOf, type ListQuery, matches } from './list-query.ts';
import { busBlock, HEARTBEAT, HEARTBEAT_MS, type Live, RETRY, type Watcher } from './live.ts';

/** Changes within this time are read together. */
const GATHER_MS = 30;

/** Counting takes longer than reading a few rows, and nobody reads numbers faster. */
const COUNT_MS = 1_000;

/**
 * What came before a client's last event is sent again for so long: a change becomes visible a little after the time
 * that it bears, and its trace comes after that. What a page has already, it knows by the version.
 */
const OVERLAP_SECONDS = 10;

/** Who has missed more than this is better off with a new page. */
const CATCH_UP_ROWS = 500;

/** A page reads slowly when so many blocks wait for it; then it is told to read itself again instead. */
const WAITING_BLOCKS = 50;

/** A page that follows a list. */
class Follower {
  readonly query: ListQuery;
  readonly alarm = new Alarm();
  #waiting: string[] = [];

  constructor(query: ListQuery) {
    this.query = query;
  }

  tell(block: string): void {
    this.#waiting.push(block);
    if (this.#waiting.length > WAITING_BLOCKS) this.#waiting = [REFRESH];
    this.alarm.ring();
  }

  /** What is to be sent now. */
  take(): string[] {
    return this.#waiting.splice(0);
  }
}

const REFRESH = eventBlock('refresh', {});

/**
 * Tells pages that list actors what has changed, each within its filters. A trace names the actor; its row is read, once
 * for all pages, and its version tells a page whether it is news. So the order in which things arrive does not matter,
 * and what arrives twice changes nothing. A page that may have missed something is told to read itself again.
 */
export class ListFeed {
  readonly #api: Api;
  readonly #charts: Charts;
  readonly #live: Live;
  readonly #followers = new Set<Follower>();
  readonly #changed = new Map<string, ActorRef>();
  #gathering = false;
  #counting = false;
  #watching: Promise<() => void> | undefined;

  constructor(api: Api, charts: Charts, live: Live) {
    this.#api = api;
    this.#charts = charts;
    this.#live = live;
  }

  /** What has changed `since` (a time of the database's clock), and whatever changes from now on. */
  async *follow(query: ListQuery, since: string, signal: AbortSignal): AsyncGenerator<string> {
    const { db } = this.#api;
    const follower = new Follower(query);
    signal.addEventListener('abort', () => follower.alarm.ring(), { once: true });
    this.#followers.add(follower);
    try {
      this.#watching ??= this.#live.watch(this.#watcher());
      await this.#watching;
      yield RETRY;
      follower.tell(busBlock(this.#live));
      const now = await databaseTime(db);
      const missed = await changedActors(db, earlier(since), CATCH_UP_ROWS + 1);
      if (missed.length > CATCH_UP_ROWS) follower.tell(REFRESH);
      else await this.#send([follower], missed, now);
      this.#count();
      while (!signal.aborted) {
        yield* follower.take();
        while (!(await follower.alarm.rang(HEARTBEAT_MS))) yield HEARTBEAT;
      }
    } finally {
      this.#leave(follower);
    }
  }

  #leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    void this.#watching?.then((leave) => leave());
    this.#watching = undefined;
  }

  #watcher(): Watcher {
    return {
      traced: ({ kind, id }) => {
        this.#changed.set(keyOf({ kind, id }), { kind, id });
        this.#gather();
      },
      missed: () => this.#tell(REFRESH),
      bus: () => this.#tell(busBlock(this.#live)),
    };
  }

  #tell(block: string): void {
    for (const follower of this.#followers) follower.tell(block);
  }

  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(() => void this.#read(), GATHER_MS).unref();
  }

  async #read(): Promise<void> {
    const actors = [...this.#changed.values()];
    this.#changed.clear();
    try {
      const now = await databaseTime(this.#api.db);
      await this.#send([...this.#followers], actors, now);
    } catch (error) {
      this.#api.log.debug({ err: error }, 'lists could not be brought up to date');
      this.#tell(REFRESH);
    }
    this.#gathering = false;
    if (this.#changed.size > 0) this.#gather();
    this.#count();
  }

  async #send(followers: Follower[], actors: ActorRef[], now: string): Promise<void> {
    const { db } = this.#api;
    const [rows, owners] = await Promise.all([listedActors(db, actors), partitionOwners(db)]);
    const failures = failureStates(this.#charts);
    const shown = await Promise.all(
      rows.map(async (row) => ({ row, key: keyOf(row), html: String(await actorRow(row)) })),
    );
    for (const follower of followers) {
      const filter = filterOf(follower.query, failures, owners);
      const changes = shown.map(({ row, key, html }) => ({
        ...{ key, version: versionOf(row), matches: matches(row, filter), html },
      }));
      if (changes.length > 0) follower.tell(eventBlock('rows', changes, now));
    }
  }

  /** At most once in a while, and after the last change. */
  #count(): void {
    if (this.#counting) return;
    this.#counting = true;
    setTimeout(async () => {
      this.#counting = false;
      if (this.#followers.size === 0) return;
      const counts = await countActors(this.#api.db).catch(() => undefined);
      if (counts === undefined) return;
      const numbers: Record<string, number> = { quarantined: counts.quarantined };
      for (const { kind, state, count } of counts.states) {
        numbers[kind] = (numbers[kind] ?? 0) + count;
        numbers[`${kind}/${state}`] = count;
      }
      this.#tell(eventBlock('counts', numbers));
    }, COUNT_MS).unref();
  }
}

function earlier(since: string): string {
  return new Date(Date.parse(since) - OVERLAP_SECONDS * 1000).toISOString();
}
