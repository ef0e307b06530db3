import type { Context } from 'hono';
import type { Logger } from 'pino';
import type { Control } from '../actors/control.ts';
import type { Mailbox } from '../actors/mailbox.ts';
import type { Config } from '../config.ts';
import type { Machines } from '../machines/registry.ts';
import type { NetworkAdmin } from '../providers/netns/networks.ts';
import type { Network, NetworkView } from '../providers/network.ts';
import type { Profiles } from '../providers/profiles.ts';
import type { Provider } from '../providers/provider.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import type { StatusFeed } from '../status/feed.ts';
import type { Db } from '../store/database.ts';
import type { Access } from './auth/authenticate.ts';
import type { Live } from './debug/live.ts';

/** What the handlers work with. */
export interface Api {
  db: Db;
  /** The way to the load balancers' actors. */
  mailbox: Mailbox;
  /** Where VIPs and members live. */
  network: Network;
  /** Makes networks, with providers that have none of their own (netns). */
  networks?: NetworkAdmin | undefined;
  /** What profiles refer to; absent: nothing of it can be looked up. */
  profiles?: Profiles | undefined;
  /** Whether amphorae can balance UDP and SCTP; absent: they cannot. */
  lvs?: Provider['lvs'];
  /** Where TLS material lives that listeners and pools refer to; absent: nowhere. */
  secrets?: SecretStore | undefined;
  /** Where status events come from; absent: nowhere. */
  statusFeed?: StatusFeed | undefined;
  /** Aborted when the process ends: what has no end of its own ends then. */
  ending?: AbortSignal | undefined;
  config: Config;
  /** The machines with this process's deadlines, for their pictures; absent: with those that they come with. */
  machines?: Machines | undefined;
  /** What actors do, for pages that show it; absent: nobody hears that. */
  live?: Live | undefined;
  /** The nodes; absent: none answers, and each finds out by itself what it may hold. */
  control?: Control | undefined;
  /** Who may; absent: everybody may do everything. */
  access?: Access | undefined;
  log: Logger;
}

/** How long one call to a provider may take while a client waits for the answer. */
const PROVIDER_DEADLINE_MS = 30_000;

/** What a handler passes along with a provider call. */
export function providerCall() {
  return { signal: AbortSignal.timeout(PROVIDER_DEADLINE_MS) };
}

/** The network as the caller may see it: what is not his, or shared, does not exist for him (contract F). */
export function networkSeenBy(context: Context, { access, config, network }: Api): NetworkView {
  const token = context.req.header('x-auth-token');
  if (access === undefined || token === undefined || config.allow_invisible_resources) return network;
  return network.seenBy?.(token) ?? network;
}
