import xstate from 'xstate/package.json' with { type: 'json' };

/** Stored with each snapshot: a snapshot is only sure to fit the XState that wrote it. */
export const XSTATE_VERSION: string = xstate.version;
