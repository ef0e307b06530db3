/** The caller's partition epoch, a decimal number. The agent remembers the highest and refuses lower ones (412). */
export const EPOCH_HEADER = 'x-amphorae-epoch';

/** Error code in the body of a refusal of a lower epoch. */
export const STALE_EPOCH = 'stale_epoch';

/** `true` in the answer to an upload: haproxy runs with this very configuration, so that a reload would change nothing. */
export const IN_FORCE_HEADER = 'x-amphorae-in-force';

/** Default port of the agent on the management network (contract D1). */
export const AGENT_PORT = 9443;

/** Network namespace that holds the data-plane interfaces of an amphora (contract D1). */
export const DATA_PLANE_NAMESPACE = 'amphora-haproxy';
