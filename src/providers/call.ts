/** What every provider and agent call carries. */
export interface Call {
  /** Aborted when the effect is cancelled, its deadline passes, or the node lost the partition. */
  signal: AbortSignal;
  /** Appears in logs and, where the service takes one, in its request id. */
  requestId?: string | undefined;
  /** Of the lease under which an actor works; absent outside of actors. Within one epoch nobody else works for it. */
  epoch?: number | undefined;
}
