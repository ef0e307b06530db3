/** What goes wrong, as probabilities of each call; changed while a simulation runs. */
export interface Faults {
  /** The database refuses a call before it has any effect. */
  storeRefuses: number;
  /** The database did it, but its answer is lost. */
  storeAnswerLost: number;
  /** Calls of a process to the database are held up for longer than a lease. */
  storeHeldUp: number;
  /** Milliseconds that a call to the database may take, each way. */
  storeDelayMs: number;
  messageLost: number;
  messageDuplicated: number;
  messageDelayMs: number;
  /** A call to a provider or an agent fails, by kind. */
  placement: number;
  transient: number;
  terminal: number;
  /** It fails although it was done. */
  worldAnswerLost: number;
  /** Calls of a process to agents are held up for longer than a lease. */
  agentHeldUp: number;
  /** Calls of a process to providers are held up for longer than a lease: another node may undo all of it before. */
  worldHeldUp: number;
  /** An effect waits until it is cancelled. */
  hang: number;
  /** An effect waits and does not hear that it is cancelled. */
  deaf: number;
  worldDelayMs: number;
}

/** What remains when nothing goes wrong. */
export const calm: Readonly<Faults> = {
  storeRefuses: 0,
  storeAnswerLost: 0,
  storeHeldUp: 0,
  storeDelayMs: 3,
  messageLost: 0,
  messageDuplicated: 0,
  messageDelayMs: 2,
  placement: 0,
  transient: 0,
  terminal: 0,
  worldAnswerLost: 0,
  agentHeldUp: 0,
  worldHeldUp: 0,
  hang: 0,
  deaf: 0,
  worldDelayMs: 20,
};
