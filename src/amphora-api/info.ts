import { z } from 'zod';

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

/** Answer of `GET /1.0/details` (contract D3). */
export const AmphoraDetails = AmphoraInfo.extend({
  networks: z.record(z.string(), z.object({ network_tx: z.number(), network_rx: z.number() })),
  active: z.boolean(),
  haproxy_count: z.number(),
  lvs_listener_process_count: z.number(),
  cpu_count: z.number(),
  cpu: z.object({ total: z.number(), user: z.number(), system: z.number(), soft_irq: z.number() }),
  memory: z.object({
    total: z.number(),
    free: z.number(),
    buffers: z.number(),
    cached: z.number(),
    swap_used: z.number(),
    shared: z.number(),
    slab: z.number(),
  }),
  disk: z.object({ used: z.number(), available: z.number() }),
  load: z.array(z.number()),
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
