import * as assert from 'uvu/assert';
import { type ActorState, interpret, type Outcome } from '../../src/actors/interpreter.ts';
import { loadBalancerMachine } from '../../src/machines/load-balancer.ts';
import type { RowChange } from '../../src/machines/row-change.ts';

/** The chart of a load balancer that is ACTIVE with revision 1, without anything around it. */
export class LoadBalancerChart {
  state = '';
  /** Row changes of the last event, and its commands to amphorae, as `SYNC a`. */
  rows: RowChange[] = [];
  commands: string[] = [];
  readonly #amphoraIds: string[];
  readonly #timers = new Map<string, { type: string }>();
  #actor: ActorState;
  #round = 0;

  constructor(...amphoraIds: string[]) {
    const topology = amphoraIds.length > 1 ? 'ACTIVE_STANDBY' : 'SINGLE';
    const input = { loadBalancerId: 'lb', topology, amphoraIds };
    this.#amphoraIds = amphoraIds;
    this.#actor = { snapshot: null, input, version: 0, effects: {} };
    const vip = { address: '198.51.100.7', subnetId: 's', networkId: 'n', portId: 'p' };
    this.send({ type: 'start' });
    const output = { vip, additionalVips: [] };
    this.send({ type: 'xstate.done.actor.allocateVip', output, actorId: 'allocateVip' });
    this.plugged();
    this.synced(1);
  }

  /** Only what kind of row changes the last event made. */
  get ops(): RowChange['op'][] {
    return this.rows.map(({ op }) => op);
  }

  send(event: { type: string; [key: string]: unknown }): void {
    const outcome: Outcome = interpret(loadBalancerMachine, this.#actor, event);
    const { snapshot, effects, state, rowChanges, messages } = outcome;
    this.#actor = { ...this.#actor, snapshot, effects, version: this.#actor.version + 1 };
    this.#round = (snapshot as { context: { round: number } }).context.round;
    for (const name of outcome.disarmedTimers) this.#timers.delete(name);
    for (const { name, event } of outcome.armedTimers) this.#timers.set(name, event);
    this.state = state;
    this.rows = rowChanges;
    this.commands = messages.map(({ to, event }) => `${event.type} ${to.id}`);
  }

  changed(revision: number, about: { memberPorts?: boolean; subject?: 'loadBalancer' | 'child' } = {}): void {
    this.send({ type: 'CHANGED', revision, memberPorts: false, subject: 'child', ...about });
  }

  /** These amphorae, or all, have their ports. */
  plugged(...amphoraIds: string[]): void {
    this.#eachOf(amphoraIds, 'AMPHORA_PLUGGED');
  }

  /** Configuration and firewall are in force in these amphorae, or in all. */
  synced(revision: number, ...amphoraIds: string[]): void {
    this.#eachOf(amphoraIds, 'AMPHORA_CONFIGURED');
    this.#eachOf(amphoraIds, 'AMPHORA_SYNCED', { revision });
  }

  failed(error: object, amphoraId = this.#amphoraIds[0]): void {
    this.send({ type: 'AMPHORA_FAILED', amphoraId, round: this.#round, step: 'configSync', error });
  }

  excluded(amphoraId: string): void {
    this.send({ type: 'AMPHORA_EXCLUDED', amphoraId });
  }

  /** The grace period of the state ends. */
  late(): void {
    const event = [...this.#timers].find(([name]) => name.includes('Grace'))?.[1];
    assert.ok(event, `nobody is late in ${this.state}`);
    this.send(event);
  }

  #eachOf(amphoraIds: string[], type: string, more: object = {}): void {
    const round = this.#round;
    for (const amphoraId of amphoraIds.length > 0 ? amphoraIds : this.#amphoraIds) {
      this.send({ type, amphoraId, round, ...more });
    }
  }
}
