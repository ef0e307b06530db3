import type { AnyStateMachine } from 'xstate';
import type { ActorKind } from '../machines/address.ts';
import { amphoraMachine } from '../machines/amphora.ts';
import { loadBalancerMachine } from '../machines/load-balancer.ts';

const charts: Record<ActorKind, AnyStateMachine> = {
  'load-balancer': loadBalancerMachine,
  amphora: amphoraMachine,
};

/** Types of the messages that a kind of actor takes in some state, from its chart; what only the runtime says is left out. */
export function acceptedEvents(kind: ActorKind): string[] {
  return charts[kind].events.filter((type) => type !== 'POISONED' && !type.startsWith('xstate.')).sort();
}
