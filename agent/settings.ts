import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { AGENT_PORT } from '../src/amphora-api/headers.ts';
import { octaviaSettings } from './octavia-settings.ts';

const Path = z.string().startsWith('/');

/** Where and how often to send heartbeats, and the key that signs them. */
const HeartbeatSettings = z.strictObject({
  /** `address:port` of the controllers, an IPv6 address in brackets. */
  controllers: z.array(z.string().regex(/^\S+:\d{1,5}$/, 'must be address:port')).min(1),
  key: z.string().min(1),
  interval_seconds: z.number().positive().max(3_600).default(10),
});

/** The agent's settings, checked as a whole, each default with its reason in docs/agent-api.md. */
export const AgentSettings = z.strictObject({
  /** Id of this amphora: the name in its server certificate, and of its haproxy as a peer. */
  amphora_id: z.uuid(),
  bind_address: z.string().default('::'),
  bind_port: z.number().int().min(0).max(65_535).default(AGENT_PORT),
  /** Survives a restart of the amphora. */
  state_dir: Path.default('/var/lib/octavia'),
  /** A tmpfs: sockets, process ids, logs of haproxy and keepalived. */
  run_dir: Path.default('/run/amphora'),
  /** PEM: certificate, its chain, and private key. */
  server_cert: Path.default('/etc/octavia/certs/server.pem'),
  /** PEM: the authority whose client certificates are accepted. */
  client_ca: Path.default('/etc/octavia/certs/client_ca.pem'),
  /**
   * Common name or DNS name that the client certificate must carry besides being signed by `client_ca`. null: any, because
   * controllers of Octavia have no name of their own.
   */
  controller_name: z.string().min(1).nullable().default('amphorae-controller'),
  tls_min_version: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
  topology: z.enum(['SINGLE', 'ACTIVE_STANDBY']).default('SINGLE'),
  /** `sriov`: only VFs are filtered here; ordinary ports are behind security groups of the cloud (as in Octavia). */
  firewall: z.enum(['always', 'sriov']).default('always'),
  /** Who keeps haproxy and keepalived running: the agent itself, or units of systemd. */
  supervision: z.enum(['agent', 'systemd']).default('agent'),
  /** Absent: none are sent. */
  heartbeat: HeartbeatSettings.optional(),
  haproxy_path: Path.default('/usr/sbin/haproxy'),
  keepalived_path: Path.default('/usr/sbin/keepalived'),
  nft_path: Path.default('/usr/sbin/nft'),
  ip_path: Path.default('/usr/sbin/ip'),
  nsenter_path: Path.default('/usr/bin/nsenter'),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
});
export type AgentSettings = z.output<typeof AgentSettings>;

/**
 * Read and check a settings file: JSON, or Octavia's own `amphora-agent.conf`, told apart by their content.
 * @throws Error with one line that names the file and each wrong key
 */
export function readSettings(path: string): AgentSettings {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`cannot read the agent settings ${path}: ${(error as Error).message}`);
  }
  return parseSettings(text, path);
}

/**
 * The settings in the text of such a file.
 * @param source what to call it in errors
 * @throws Error with one line that names the source and each wrong key
 */
export function parseSettings(text: string, source: string): AgentSettings {
  let content: unknown;
  try {
    content = /^\s*\{/.test(text) ? JSON.parse(text) : octaviaSettings(text);
  } catch (error) {
    throw new Error(`${source}: ${(error as Error).message}`);
  }
  const parsed = AgentSettings.safeParse(content);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}`,
  );
  throw new Error(`${source}: ${problems.join('; ')}`);
}
