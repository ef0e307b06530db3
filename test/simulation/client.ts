import type { Bus } from '../../src/actors/bus.ts';
import { replaceAll, replaceSome } from '../../src/model/replacement.ts';
import type { Invariants } from './invariants.ts';
import type { Random } from './random.ts';
import type { ChildRow, LoadBalancerRow, Rows } from './rows.ts';
import type { SimulatedStore } from './store.ts';

export interface ClientParts {
  rows: Rows;
  store: SimulatedStore;
  bus: Bus;
  random: Random;
  invariants: Invariants;
  /** Changes are accepted while earlier ones are applied (`api_mutations: queue`). */
  queueing: boolean;
}

/** The REST API with a user in front of it: each method is one request, accepted or refused as the API does. */
export class Client {
  readonly #parts: ClientParts;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  create(): void {
    const { rows, store, bus, random } = this.#parts;
    const id = random.uuid();
    const topology = random.chance(0.3) ? 'ACTIVE_STANDBY' : 'SINGLE';
    rows.loadBalancers.set(id, {
      id,
      topology,
      status: 'PENDING_CREATE',
      desiredRevision: 1,
      appliedRevision: 0,
      ownRevision: 1,
      error: null,
    });
    for (let count = random.below(3); count > 0; count -= 1) this.#insertChild(id, 1);
    const amphoraIds = topology === 'SINGLE' ? [random.uuid()] : [random.uuid(), random.uuid()];
    const input = { loadBalancerId: id, topology, amphoraIds };
    bus.publish([store.spawn(addressOf(id), input)]);
  }

  /** Change something of a load balancer that takes changes, or fail one over, or delete it. */
  change(): void {
    const { rows, random } = this.#parts;
    const loadBalancer = random.pick([...rows.loadBalancers.values()]);
    if (loadBalancer === undefined) return;
    const { status } = loadBalancer;
    const kind = random.next();
    if (kind < (status === 'ERROR' ? 0.4 : 0.1)) this.delete(loadBalancer);
    else if (kind > (status === 'ERROR' ? 0.6 : 0.8)) this.failOver(loadBalancer);
    else if (status === 'ACTIVE' || (status === 'PENDING_UPDATE' && this.#parts.queueing)) {
      this.#changeBelow(loadBalancer);
    }
  }

  delete(loadBalancer: LoadBalancerRow): void {
    const { store, bus } = this.#parts;
    if (loadBalancer.status !== 'ACTIVE' && loadBalancer.status !== 'ERROR') return;
    loadBalancer.status = 'PENDING_DELETE';
    bus.publish([store.send(addressOf(loadBalancer.id), { type: 'DELETE' })]);
  }

  /** Replace all amphorae, or one of them; make those that are missing, and give back those too many. */
  failOver(loadBalancer: LoadBalancerRow): void {
    const { rows, store, bus, random } = this.#parts;
    const { id, status, topology } = loadBalancer;
    if (status !== 'ACTIVE' && status !== 'ERROR') return;
    const amphorae = rows.amphoraeOf(id);
    const one = status === 'ACTIVE' && random.chance(0.3) ? random.pick(amphorae) : undefined;
    const newId = () => random.uuid();
    const replacements = one ? replaceSome(topology, [one], newId) : replaceAll(topology, amphorae, newId);
    loadBalancer.status = 'PENDING_UPDATE';
    bus.publish([store.send(addressOf(id), { type: 'FAILOVER', replacements } as { type: string })]);
  }

  #changeBelow(loadBalancer: LoadBalancerRow): void {
    const { rows, store, bus, random } = this.#parts;
    const revision = loadBalancer.desiredRevision + 1;
    const present = rows.childrenOf(loadBalancer.id).filter(({ status }) => status !== 'PENDING_DELETE');
    const child = random.pick(present);
    const kind = random.next();
    let memberPorts = false;
    let subject: 'loadBalancer' | 'child' = 'child';
    if (kind < 0.15) {
      loadBalancer.ownRevision = revision;
      subject = 'loadBalancer';
    } else if (kind < 0.5 || child === undefined) {
      memberPorts = this.#insertChild(loadBalancer.id, revision).network !== null;
    } else {
      const status = kind < 0.75 ? 'PENDING_UPDATE' : 'PENDING_DELETE';
      Object.assign(child, { status, revision, withheld: false, error: null });
      memberPorts = child.network !== null;
      this.#promise(child, status === 'PENDING_DELETE' ? 'removed' : 'present');
    }
    Object.assign(loadBalancer, { status: 'PENDING_UPDATE', desiredRevision: revision });
    const event = { type: 'CHANGED', revision, memberPorts, subject };
    bus.publish([store.send(addressOf(loadBalancer.id), event)]);
  }

  #insertChild(loadBalancerId: string, revision: number): ChildRow {
    const { rows, random } = this.#parts;
    const child: ChildRow = {
      id: random.uuid(),
      loadBalancerId,
      network: random.chance(0.4) ? `net${random.below(2)}` : null,
      status: 'PENDING_CREATE',
      revision,
      withheld: false,
      error: null,
    };
    rows.children.set(child.id, child);
    this.#promise(child, 'present');
    return child;
  }

  #promise({ id, loadBalancerId }: ChildRow, promised: 'present' | 'removed'): void {
    this.#parts.invariants.promise(id, loadBalancerId, promised);
  }
}

const addressOf = (id: string) => ({ kind: 'load-balancer', id, loadBalancerId: id }) as const;
