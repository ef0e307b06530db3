import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Answer, Api } from './api.ts';
import {
  AMPHORAE,
  type Balancer,
  LISTENERS,
  LOAD_BALANCERS,
  look,
  membersOf,
  type View,
  type Wishes,
  wishesIn,
} from './balancer.ts';
import type { Random } from './random.ts';

/** What the load balancers of a run are made of. */
export interface Site {
  subnetId: string;
  memberAddresses: string[];
  flavorIds: (string | null)[];
}

/** A load balancer and what its user was promised. */
export interface Entry {
  id: string;
  name: string;
  wishes: Wishes;
}

/** One load balancer after another, under a name of its own each. */
interface Slot {
  entry: Entry | undefined;
  /** What the last call would have come to, when nobody answered it. */
  doubt: { name: string } | { after: Wishes | 'gone' } | undefined;
}

/** A call, and what it promises when it is accepted. */
interface Change {
  method: 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: object;
  after: Wishes | 'gone';
  /** The call is about this amphora, which a failover that goes on may replace before the call arrives. */
  amphoraId?: string;
}

const PORTS = [80, 81, 82, 443, 8080];
const CIDRS = [null, ['192.0.2.0/24'], ['192.0.2.210/32'], ['10.0.0.0/8', '192.0.2.128/25']];

/** What a user could not expect: told with the call, and kept for the verdict. */
export interface Journal {
  /** Calls by what came of them: `201`, `409`, `no answer`, ... */
  readonly answers: Map<string, number>;
  /** Broken promises. */
  readonly complaints: string[];
}

/**
 * A user of the REST API with some load balancers of its own, who creates, changes, fails over and deletes them at
 * random, comes back later when told 409, and holds the API to everything that it has accepted.
 */
export class User {
  readonly #api: Api;
  readonly #random: Random;
  readonly #site: Site;
  readonly #name: string;
  readonly #journal: Journal;
  readonly #slots: Slot[];
  #made = 0;

  constructor(
    api: Api,
    options: { name: string; balancers: number; random: Random; site: Site; journal: Journal },
  ) {
    this.#api = api;
    this.#name = options.name;
    this.#random = options.random;
    this.#site = options.site;
    this.#journal = options.journal;
    this.#slots = Array.from({ length: options.balancers }, () => ({ entry: undefined, doubt: undefined }));
  }

  /** What this user has been promised; complete once `resolve` has been called. */
  get entries(): Entry[] {
    return this.#slots.flatMap(({ entry }) => entry ?? []);
  }

  async work(until: AbortSignal): Promise<void> {
    while (!until.aborted) {
      await this.#step(this.#random.pick(this.#slots));
      await pause(this.#random.between(20, 150));
    }
  }

  /** Look what became of the calls that nobody answered. False while the API cannot tell. */
  async resolve(): Promise<boolean> {
    for (const slot of this.#slots) await this.#settle(slot);
    return this.#slots.every(({ doubt }) => doubt === undefined);
  }

  async #step(slot: Slot): Promise<void> {
    if (slot.doubt) return this.#settle(slot);
    if (slot.entry === undefined) return this.#create(slot);
    const view = await look(this.#api, slot.entry.id);
    if (view === undefined) return;
    if (view === 'gone') return this.#lost(slot);
    const failed = view.balancer.provisioning_status === 'ERROR';
    if (failed) this.#complain(`${slot.entry.id} is in ERROR: ${view.balancer.provisioning_error?.message}`);
    const change = failed ? this.#removal(slot.entry.id) : await this.#change(slot.entry, view);
    const answer = await this.#call(change.method, change.path, change.body);
    if (answer && answer.status < 300) this.#accept(slot, change.after);
    else if (answer === undefined || answer.status >= 500) slot.doubt = { after: change.after };
    else if (
      answer.status !== 409 &&
      !(answer.status === 404 && (await this.#isReplaced(change.amphoraId)))
    ) {
      this.#complain(`${change.method} ${change.path} was refused: ${JSON.stringify(answer)}`);
    }
  }

  async #create(slot: Slot): Promise<void> {
    this.#made += 1;
    const name = `${this.#name}-${this.#made}`;
    const wishes: Wishes = { description: '', listeners: { 80: this.#random.pick(CIDRS) }, members: {} };
    const address = this.#random.pick(this.#site.memberAddresses);
    wishes.members[address] = 1;
    const answer = await this.#call('POST', LOAD_BALANCERS, {
      loadbalancer: {
        name,
        vip_subnet_id: this.#site.subnetId,
        flavor_id: this.#random.pick(this.#site.flavorIds),
        listeners: [
          {
            protocol: 'HTTP',
            protocol_port: 80,
            allowed_cidrs: wishes.listeners[80],
            default_pool: {
              name: 'web',
              protocol: 'HTTP',
              lb_algorithm: 'ROUND_ROBIN',
              members: [{ address, protocol_port: 8080 }],
            },
          },
        ],
      },
    });
    if (answer?.status === 201) {
      const { id } = answer.body.loadbalancer as Balancer;
      slot.entry = { id, name, wishes };
    } else if (answer === undefined || answer.status >= 500) {
      slot.doubt = { name };
    } else {
      this.#complain(`a load balancer was refused: ${JSON.stringify(answer)}`);
    }
  }

  async #change({ id, wishes }: Entry, view: View): Promise<Change> {
    const changes: (() => Change | undefined | Promise<Change | undefined>)[] = [
      () => this.#newListener(id, wishes, view),
      () => this.#otherCidrs(wishes, view),
      () => this.#lessListeners(wishes, view),
      () => this.#newMember(wishes, view),
      () => this.#otherWeight(wishes, view),
      () => this.#lessMembers(wishes, view),
      () => this.#rename(id, wishes),
      () => this.#failover(id, wishes),
      () => this.#failoverOfOne(id, wishes),
      () => this.#removal(id),
    ];
    return (await this.#random.pick(changes)()) ?? this.#rename(id, wishes);
  }

  #newListener(id: string, wishes: Wishes, { poolId }: View): Change | undefined {
    const free = PORTS.filter((port) => !(port in wishes.listeners));
    if (free.length === 0) return undefined;
    const port = this.#random.pick(free);
    const allowed_cidrs = this.#random.pick(CIDRS);
    return {
      method: 'POST',
      path: LISTENERS,
      body: {
        listener: {
          loadbalancer_id: id,
          protocol: 'HTTP',
          protocol_port: port,
          allowed_cidrs,
          default_pool_id: poolId,
        },
      },
      after: { ...wishes, listeners: { ...wishes.listeners, [port]: allowed_cidrs } },
    };
  }

  #otherCidrs(wishes: Wishes, { listeners }: View): Change | undefined {
    if (listeners.length === 0) return undefined;
    const { id, protocol_port } = this.#random.pick(listeners);
    const allowed_cidrs = this.#random.pick(CIDRS);
    return {
      method: 'PUT',
      path: `${LISTENERS}/${id}`,
      body: { listener: { allowed_cidrs } },
      after: { ...wishes, listeners: { ...wishes.listeners, [protocol_port]: allowed_cidrs } },
    };
  }

  #lessListeners(wishes: Wishes, { listeners }: View): Change | undefined {
    if (listeners.length === 0) return undefined;
    const { id, protocol_port } = this.#random.pick(listeners);
    return {
      method: 'DELETE',
      path: `${LISTENERS}/${id}`,
      after: { ...wishes, listeners: without(wishes.listeners, String(protocol_port)) },
    };
  }

  #newMember(wishes: Wishes, { poolId }: View): Change | undefined {
    const free = this.#site.memberAddresses.filter((address) => !(address in wishes.members));
    if (free.length === 0) return undefined;
    const address = this.#random.pick(free);
    return {
      method: 'POST',
      path: membersOf(poolId),
      body: { member: { address, protocol_port: 8080 } },
      after: { ...wishes, members: { ...wishes.members, [address]: 1 } },
    };
  }

  #otherWeight(wishes: Wishes, { poolId, members }: View): Change | undefined {
    if (members.length === 0) return undefined;
    const { id, address } = this.#random.pick(members);
    const weight = Math.floor(this.#random.between(1, 256));
    return {
      method: 'PUT',
      path: `${membersOf(poolId)}/${id}`,
      body: { member: { weight } },
      after: { ...wishes, members: { ...wishes.members, [address]: weight } },
    };
  }

  #lessMembers(wishes: Wishes, { poolId, members }: View): Change | undefined {
    if (members.length === 0) return undefined;
    const { id, address } = this.#random.pick(members);
    return {
      method: 'DELETE',
      path: `${membersOf(poolId)}/${id}`,
      after: { ...wishes, members: without(wishes.members, address) },
    };
  }

  #rename(id: string, wishes: Wishes): Change {
    const description = `description ${Math.floor(this.#random.between(0, 1e6))}`;
    return {
      method: 'PUT',
      path: `${LOAD_BALANCERS}/${id}`,
      body: { loadbalancer: { description } },
      after: { ...wishes, description },
    };
  }

  #failover(id: string, wishes: Wishes): Change {
    return { method: 'PUT', path: `${LOAD_BALANCERS}/${id}/failover`, after: wishes };
  }

  async #failoverOfOne(id: string, wishes: Wishes): Promise<Change | undefined> {
    const amphorae = await this.#api.list<{ id: string }>(`${AMPHORAE}?loadbalancer_id=${id}`, 'amphorae');
    if (!amphorae?.length) return undefined;
    const amphoraId = this.#random.pick(amphorae).id;
    return { method: 'PUT', path: `${AMPHORAE}/${amphoraId}/failover`, after: wishes, amphoraId };
  }

  async #isReplaced(amphoraId: string | undefined): Promise<boolean> {
    if (amphoraId === undefined) return false;
    const answer = await this.#api.call('GET', `${AMPHORAE}/${amphoraId}`);
    return answer?.status !== 200;
  }

  #removal(id: string): Change {
    return { method: 'DELETE', path: `${LOAD_BALANCERS}/${id}?cascade=true`, after: 'gone' };
  }

  /** The last call of a slot was not answered: either it was never made, or all of it was. */
  async #settle(slot: Slot): Promise<void> {
    const { doubt } = slot;
    if (doubt === undefined) return;
    if ('name' in doubt) {
      const found = await this.#api.list<Balancer>(`${LOAD_BALANCERS}?name=${doubt.name}`, 'loadbalancers');
      if (found === undefined) return;
      const [balancer] = found;
      const view = balancer && (await look(this.#api, balancer.id));
      if (balancer && (view === undefined || view === 'gone')) return;
      slot.doubt = undefined;
      if (view && view !== 'gone') slot.entry = { ...view.balancer, wishes: wishesIn(view) };
      return;
    }
    if (slot.entry === undefined) return;
    const view = await look(this.#api, slot.entry.id);
    if (view === undefined) return;
    const actual = view === 'gone' ? view : wishesIn(view);
    slot.doubt = undefined;
    if (isDeepStrictEqual(actual, doubt.after)) return this.#accept(slot, doubt.after);
    if (view === 'gone') return this.#lost(slot);
    if (!isDeepStrictEqual(actual, slot.entry.wishes)) {
      this.#complain(`${slot.entry.id} is neither before nor after a call: ${JSON.stringify(actual)}`);
    }
  }

  #accept(slot: Slot, after: Wishes | 'gone'): void {
    if (after === 'gone') slot.entry = undefined;
    else if (slot.entry) slot.entry.wishes = after;
  }

  #lost(slot: Slot): void {
    this.#complain(`${slot.entry?.id} is gone, and nobody asked for it`);
    slot.entry = undefined;
  }

  async #call(method: Change['method'], path: string, body?: object): Promise<Answer> {
    const answer = await this.#api.call(method, path, body);
    const key = String(answer?.status ?? 'no answer');
    this.#journal.answers.set(key, (this.#journal.answers.get(key) ?? 0) + 1);
    if (answer?.status === 500) this.#complain(`${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer;
  }

  #complain(text: string): void {
    this.#journal.complaints.push(text);
  }
}

function without<T>(record: Record<string, T>, key: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([each]) => each !== key));
}
