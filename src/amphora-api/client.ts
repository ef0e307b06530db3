import type { AmphoraDetails, AmphoraInfo } from './info.ts';
import type { PlugNetwork, PlugVip } from './plug.ts';
import type { SecurityGroup } from './security-group.ts';

/** Whom to call and with which authority. */
export interface AgentTarget {
  amphoraId: string;
  /** Address on the management network. */
  address: string;
  /** Epoch of the caller's lease; sent with every call so that the agent can refuse an older owner. */
  epoch: number;
  signal: AbortSignal;
}

/**
 * The agent of an amphora, as the controller sees it. Each method is one attempt: retrying is the business of
 * the effect that calls it. Errors are classified: TransientError `agent_unreachable` (connection, time-out, 5xx,
 * interface not there yet), TerminalError `agent_refused` (4xx, with the agent's message) or `stale_epoch`.
 */
export interface AgentClient {
  info(target: AgentTarget): Promise<AmphoraInfo>;
  details(target: AgentTarget): Promise<AmphoraDetails>;
  /** Store the agent's settings, as JSON; what can change while it runs is in force at once. */
  configure(target: AgentTarget, settings: string): Promise<void>;
  /** Already plugged (409) is success. */
  plugVip(target: AgentTarget, vip: string, body: PlugVip): Promise<void>;
  plugNetwork(target: AgentTarget, body: PlugNetwork): Promise<void>;
  /**
   * Store a configuration that haproxy accepts; the running one is untouched until `reloadHaproxy`. Resolves with
   * whether haproxy runs with this very configuration already.
   */
  uploadHaproxy(target: AgentTarget, loadBalancerId: string, config: string): Promise<{ inForce: boolean }>;
  /** Start haproxy with the stored configuration, or reload it seamlessly when it runs. */
  reloadHaproxy(target: AgentTarget, loadBalancerId: string): Promise<void>;
  /** Stop haproxy and remove all its files; success when there is none. */
  deleteHaproxy(target: AgentTarget, loadBalancerId: string): Promise<void>;
  /** MD5 of each file of a load balancer's TLS material, by name. */
  listCertificates(target: AgentTarget, loadBalancerId: string): Promise<Record<string, string>>;
  /** Store such a file: PEM, or the list of a listener's certificates. */
  uploadCertificate(
    target: AgentTarget,
    loadBalancerId: string,
    file: string,
    content: string,
  ): Promise<void>;
  /** Success when there is none. */
  deleteCertificate(target: AgentTarget, loadBalancerId: string, file: string): Promise<void>;
  /** Replace the whole firewall in one transaction. */
  setSecurityGroup(target: AgentTarget, body: SecurityGroup): Promise<void>;
  /** Store keepalived's configuration of a UDP or SCTP listener; what runs is untouched until `reloadLvs`. */
  uploadLvs(target: AgentTarget, listenerId: string, config: string): Promise<void>;
  /**
   * Start the listener with the stored configuration, or bring it in force where it runs. Where the kernel of the amphora
   * has no IPVS, the agent says so.
   */
  reloadLvs(target: AgentTarget, listenerId: string): Promise<void>;
  /** Stop the listener and remove its configuration; success when there is none. */
  deleteLvs(target: AgentTarget, listenerId: string): Promise<void>;
  uploadKeepalived(target: AgentTarget, config: string): Promise<void>;
  reloadKeepalived(target: AgentTarget): Promise<void>;
  close(): Promise<void>;
}
