import type { Bus } from '../../src/actors/bus.ts';
import type { Random } from './random.ts';
import type { AmphoraRow, Rows } from './rows.ts';
import type { SimulatedStore } from './store.ts';

export interface HeartbeatParts {
  rows: Rows;
  store: SimulatedStore;
  bus: Bus;
  random: Random;
}

/** Health monitoring: tells load balancers which of their amphorae it does not hear, or hears again. */
export class Heartbeats {
  readonly #parts: HeartbeatParts;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  /** Each amphora in service falls silent with this probability. */
  stop(probability: number): void {
    const { rows, random } = this.#parts;
    for (const amphora of rows.amphorae.values()) {
      if (amphora.status === 'ALLOCATED' && random.chance(probability)) this.#say('AMPHORA_STALE', amphora);
    }
  }

  /** Each silent amphora is heard again with this probability. */
  return(probability: number): void {
    const { rows, random } = this.#parts;
    for (const amphora of rows.amphorae.values()) {
      if (amphora.staleSince !== null && random.chance(probability)) this.#say('AMPHORA_ALIVE', amphora);
    }
  }

  #say(type: 'AMPHORA_STALE' | 'AMPHORA_ALIVE', { id, loadBalancerId }: AmphoraRow): void {
    const { store, bus } = this.#parts;
    const address = { kind: 'load-balancer', id: loadBalancerId, loadBalancerId } as const;
    bus.publish([store.send(address, { type, amphoraId: id } as { type: string })]);
  }
}
