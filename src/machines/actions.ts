import type { ActorAddress } from './address.ts';
import type { AmphoraCommand, AmphoraInput, AmphoraReport } from './events.ts';
import type { RowChange } from './row-change.ts';

/** Parameters of the three actions that machines ask of the runtime. They run nothing: they are read as data. */
export interface SendParams {
  to: ActorAddress;
  event: AmphoraCommand | AmphoraReport;
}

export interface SpawnParams {
  address: ActorAddress;
  input: AmphoraInput;
}

export interface RowParams {
  changes: RowChange[];
}

/** To be spread into the `actions` of a machine's `setup`. */
export const runtimeActions = {
  send: (_: unknown, _params: { messages: SendParams[] }) => {},
  spawn: (_: unknown, _params: { actors: SpawnParams[] }) => {},
  rows: (_: unknown, _params: RowParams) => {},
};
