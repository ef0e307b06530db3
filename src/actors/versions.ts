import { createRequire } from 'node:module';

/** Stored with each snapshot: a snapshot is only sure to fit the XState that wrote it. */
export const XSTATE_VERSION: string = createRequire(import.meta.url)('xstate/package.json').version;
