/** What the code of an effect may use while it runs. */
export interface EffectContext {
  /** Aborted when the chart stops the effect, its deadline passes, or the node loses the partition. */
  signal: AbortSignal;
  /** Epoch of the node's lease, for those who refuse older ones. */
  epoch: number;
  /** Names this run in logs and requests: actor and version. */
  requestId: string;
}

/** How long and how often an effect is tried. Only transient errors are tried again. */
export interface RetryPolicy {
  attempts: number;
  /** For all attempts and the pauses between them. */
  deadlineMs: number;
  /** First pause; doubled with each attempt up to `maxBackoffMs`, with jitter. */
  backoffMs: number;
  maxBackoffMs: number;
}
