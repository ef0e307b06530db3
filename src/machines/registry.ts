import type { ActorKind } from './address.ts';
import { AMPHORA_VERSION, amphoraMachine } from './amphora.ts';
import { LOAD_BALANCER_VERSION, loadBalancerMachine } from './load-balancer.ts';

/** How long the states of the charts may last, in milliseconds. */
export interface Deadlines {
  create: number;
  update: number;
  failover: number;
  delete: number;
  boot: number;
  step: number;
  /** How much longer one amphora of a pair may take than the other: to have its ports, and to be in step. */
  portGrace: number;
  syncGrace: number;
}

/** The machine of each kind with its deadlines. */
export function machinesWith(deadlines: Deadlines) {
  return {
    'load-balancer': loadBalancerMachine.provide({
      delays: {
        createDeadline: deadlines.create,
        updateDeadline: deadlines.update,
        failoverDeadline: deadlines.failover,
        deleteDeadline: deadlines.delete,
        portGrace: deadlines.portGrace,
        syncGrace: deadlines.syncGrace,
      },
    }),
    amphora: amphoraMachine.provide({
      delays: {
        placeDeadline: deadlines.boot,
        bootDeadline: deadlines.boot,
        stepDeadline: deadlines.step,
        releaseDeadline: deadlines.delete / 2,
      },
    }),
  };
}

export type Machines = ReturnType<typeof machinesWith>;

/** Version of each kind's chart; raised when a stored snapshot of the one before would not fit. */
export const machineVersions: Record<ActorKind, number> = {
  'load-balancer': LOAD_BALANCER_VERSION,
  amphora: AMPHORA_VERSION,
};
