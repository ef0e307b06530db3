import * as z from 'zod';

/** Answer of `GET /1.0/info`. */
export const AmphoraInfo = z.object({
  hostname: z.string(),
  haproxy_version: z.string(),
  api_version: z.string(),
  keepalived_version: z.string().nullish(),
  ipvsadm_version: z.string().nullish(),
});
export type AmphoraInfo = z.infer<typeof AmphoraInfo>;

/** What an amphora is in its pair: FAULT when it could not serve its VIPs. */
export const VrrpState = z.enum(['MASTER', 'BACKUP', 'FAULT']);
export type VrrpState = z.infer<typeof VrrpState>;

/** Octavia's agent sends what it has read from /proc as it is: text. */
const Amount = z.coerce.number();

/** Answer of `GET /1.0/details` (contract D3). */
export const AmphoraDetails = AmphoraInfo.extend({
  networks: z.record(z.string(), z.object({ network_tx: Amount, network_rx: Amount })),
  active: z.boolean(),
  haproxy_count: Amount,
  lvs_listener_process_count: Amount,
  cpu_count: Amount,
  cpu: z.object({ total: Amount, user: Amount, system: Amount, soft_irq: Amount }),
  memory: z.object({
    total: Amount,
    free: Amount,
    buffers: Amount,
    cached: Amount,
    swap_used: Amount,
    shared: Amount,
    slab: Amount,
  }),
  disk: z.object({ used: Amount, available: Amount }),
  load: z.array(Amount),
  active_tuned_profiles: z.string(),
  topology: z.string(),
  topology_status: z.string(),
  /** Ours: null where no keepalived runs, absent from Octavia's agent. */
  vrrp_state: VrrpState.nullish(),
  listeners: z.array(z.string()),
  packages: z.record(z.string(), z.string()),
});
export type AmphoraDetails = z.infer<typeof AmphoraDetails>;

/** Answer of `GET /1.0/loadbalancer/{lb}/certificates`: MD5 of each file, by name. */
export const CertificateDigests = z.record(z.string(), z.string());
