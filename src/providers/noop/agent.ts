import { createHash } from 'node:crypto';
import type * as z from 'zod';
import type { AgentClient, AgentTarget } from '../../amphora-api/client.ts';
import type { AmphoraDetails, AmphoraInfo } from '../../amphora-api/info.ts';
import { PlugNetwork, PlugVip } from '../../amphora-api/plug.ts';
import { SecurityGroup } from '../../amphora-api/security-group.ts';
import { TerminalError } from '../../model/errors.ts';

/** What the agent of one amphora was told last. */
export interface NoopAmphora {
  epoch: number;
  vip?: string;
  /** MAC addresses of plugged ports. */
  plugged: Set<string>;
  /** SHA-256 of the uploaded configuration, and of the one that was started. */
  haproxy?: { hash: string; running?: string | undefined };
  /** MD5 of each file, by name. */
  certificates?: Map<string, string>;
  /** SHA-256 of the uploaded configuration of each UDP and SCTP listener; `running` once it was started. */
  lvs: Map<string, { hash: string; running: boolean }>;
  /** SHA-256 of the uploaded configuration; `running` once it was started. */
  keepalived?: { hash: string; running: boolean };
  securityGroup?: SecurityGroup;
  /** Of the agent itself, where they were pushed. */
  settings?: string;
}

/** An agent that checks calls as the real one does, remembers the last of each kind, and does nothing. */
export class NoopAgent implements AgentClient {
  readonly #amphorae = new Map<string, NoopAmphora>();
  readonly #onRequest: (verb: string, target: AgentTarget) => void;

  constructor(onRequest: (verb: string, target: AgentTarget) => void = () => {}) {
    this.#onRequest = onRequest;
  }

  /** For tests: what the amphora was told; undefined before its first call. */
  amphora(amphoraId: string): Readonly<NoopAmphora> | undefined {
    return this.#amphorae.get(amphoraId);
  }

  /** Called when the server of an amphora goes: its agent forgets with it. */
  forget(amphoraId: string): void {
    this.#amphorae.delete(amphoraId);
  }

  async info(target: AgentTarget): Promise<AmphoraInfo> {
    this.#admit('info', target);
    return infoOf(target);
  }

  async details(target: AgentTarget): Promise<AmphoraDetails> {
    const { haproxy } = this.#admit('details', target);
    return {
      ...infoOf(target),
      networks: {},
      active: true,
      haproxy_count: haproxy?.running ? 1 : 0,
      lvs_listener_process_count: 0,
      cpu_count: 1,
      cpu: { total: 0, user: 0, system: 0, soft_irq: 0 },
      memory: { total: 0, free: 0, buffers: 0, cached: 0, swap_used: 0, shared: 0, slab: 0 },
      disk: { used: 0, available: 0 },
      load: [0, 0, 0],
      active_tuned_profiles: '',
      topology: 'SINGLE',
      topology_status: 'OFFLINE',
      listeners: [],
      packages: {},
    };
  }

  async plugVip(target: AgentTarget, vip: string, body: PlugVip): Promise<void> {
    const amphora = this.#admit('plugVip', target);
    amphora.plugged.add(parse(PlugVip, body).mac_address);
    amphora.vip = vip;
  }

  async plugNetwork(target: AgentTarget, body: PlugNetwork): Promise<void> {
    this.#admit('plugNetwork', target).plugged.add(parse(PlugNetwork, body).mac_address);
  }

  async uploadHaproxy(
    target: AgentTarget,
    _loadBalancerId: string,
    config: string,
  ): Promise<{ inForce: boolean }> {
    const amphora = this.#admit('uploadHaproxy', target);
    const hash = sha256(config);
    const inForce = amphora.haproxy?.running === hash;
    amphora.haproxy = { hash, running: amphora.haproxy?.running };
    return { inForce };
  }

  async reloadHaproxy(target: AgentTarget): Promise<void> {
    const { haproxy } = this.#admit('reloadHaproxy', target);
    if (!haproxy) throw new TerminalError('agent_refused', 'haproxy has no configuration yet');
    haproxy.running = haproxy.hash;
  }

  async deleteHaproxy(target: AgentTarget): Promise<void> {
    const amphora = this.#admit('deleteHaproxy', target);
    delete amphora.haproxy;
    delete amphora.certificates;
  }

  async listCertificates(target: AgentTarget): Promise<Record<string, string>> {
    return Object.fromEntries(this.#admit('listCertificates', target).certificates ?? []);
  }

  async uploadCertificate(target: AgentTarget, _loadBalancerId: string, file: string, content: string) {
    const amphora = this.#admit('uploadCertificate', target);
    amphora.certificates ??= new Map();
    amphora.certificates.set(file, createHash('md5').update(content).digest('hex'));
    if (amphora.haproxy) amphora.haproxy.running = undefined;
  }

  async deleteCertificate(target: AgentTarget, _loadBalancerId: string, file: string): Promise<void> {
    this.#admit('deleteCertificate', target).certificates?.delete(file);
  }

  async configure(target: AgentTarget, settings: string): Promise<void> {
    this.#admit('configure', target).settings = settings;
  }

  async setSecurityGroup(target: AgentTarget, body: SecurityGroup): Promise<void> {
    this.#admit('setSecurityGroup', target).securityGroup = parse(SecurityGroup, body);
  }

  async uploadLvs(target: AgentTarget, listenerId: string, config: string): Promise<void> {
    const { lvs } = this.#admit('uploadLvs', target);
    lvs.set(listenerId, { hash: sha256(config), running: lvs.get(listenerId)?.running ?? false });
  }

  async reloadLvs(target: AgentTarget, listenerId: string): Promise<void> {
    const listener = this.#admit('reloadLvs', target).lvs.get(listenerId);
    if (!listener)
      throw new TerminalError('agent_refused', `listener ${listenerId} has no configuration yet`);
    listener.running = true;
  }

  async deleteLvs(target: AgentTarget, listenerId: string): Promise<void> {
    this.#admit('deleteLvs', target).lvs.delete(listenerId);
  }

  async uploadKeepalived(target: AgentTarget, config: string): Promise<void> {
    const amphora = this.#admit('uploadKeepalived', target);
    amphora.keepalived = { hash: sha256(config), running: amphora.keepalived?.running ?? false };
  }

  async reloadKeepalived(target: AgentTarget): Promise<void> {
    const { keepalived } = this.#admit('reloadKeepalived', target);
    if (!keepalived) throw new TerminalError('agent_refused', 'keepalived has no configuration yet');
    keepalived.running = true;
  }

  async close(): Promise<void> {}

  #admit(verb: string, target: AgentTarget): NoopAmphora {
    this.#onRequest(verb, target);
    const amphora = this.#amphorae.get(target.amphoraId) ?? {
      epoch: target.epoch,
      plugged: new Set(),
      lvs: new Map(),
    };
    if (target.epoch < amphora.epoch) {
      throw new TerminalError(
        'stale_epoch',
        `amphora ${target.amphoraId} obeys epoch ${amphora.epoch}, not ${target.epoch}: a newer controller owns it`,
      );
    }
    amphora.epoch = target.epoch;
    this.#amphorae.set(target.amphoraId, amphora);
    return amphora;
  }
}

function infoOf(target: AgentTarget): AmphoraInfo {
  return { hostname: `amphora-${target.amphoraId}`, haproxy_version: '2.6', api_version: '1.0' };
}

function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new TerminalError('agent_refused', `invalid request: ${issue?.path.join('.')}: ${issue?.message}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
