import { parseIni } from './ini.ts';

/**
 * The agent's settings from Octavia's `amphora-agent.conf` (contract F3). Options that this agent has no use for are passed
 * over, as every oslo service does with those of others: how often to respawn, where to send logs, who owns haproxy.
 *
 * In an image of Octavia the programs are units of systemd, ordinary ports are behind the cloud's security groups, and
 * the controller's certificate has no name to hold it against.
 * @returns what `AgentSettings` is to check
 * @throws Error when it is no such file, or has an option that cannot be obeyed
 */
export function octaviaSettings(text: string): Record<string, unknown> {
  const ini = parseIni(text);
  const option = (section: string, name: string) => ini.get(section)?.get(name) || undefined;
  const stateDir = option('haproxy_amphora', 'base_path') ?? '/var/lib/octavia';
  const certificates = option('haproxy_amphora', 'base_cert_dir') ?? `${stateDir}/certs`;
  if (certificates !== `${stateDir}/certs`) {
    throw new Error(`[haproxy_amphora] base_cert_dir: must be ${stateDir}/certs`);
  }
  return withoutUndefined({
    amphora_id: option('amphora_agent', 'amphora_id'),
    bind_address: option('haproxy_amphora', 'bind_host'),
    bind_port: numeric(option('haproxy_amphora', 'bind_port')),
    state_dir: stateDir,
    server_cert: option('amphora_agent', 'agent_server_cert'),
    client_ca: option('amphora_agent', 'agent_server_ca'),
    controller_name: null,
    tls_min_version: option('amphora_agent', 'agent_tls_protocol'),
    topology: option('controller_worker', 'loadbalancer_topology'),
    firewall: 'sriov',
    supervision: 'systemd',
    heartbeat: heartbeat(option),
    haproxy_path: option('haproxy_amphora', 'haproxy_cmd'),
    log_level: /^(true|1|yes|on)$/i.test(option('DEFAULT', 'debug') ?? '') ? 'debug' : undefined,
  });
}

/** Without a controller or a key there is nobody to tell. */
function heartbeat(option: (section: string, name: string) => string | undefined) {
  const controllers = (option('health_manager', 'controller_ip_port_list') ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean);
  const key = option('health_manager', 'heartbeat_key');
  if (controllers.length === 0 || key === undefined) return undefined;
  return withoutUndefined({
    controllers,
    key,
    interval_seconds: numeric(option('health_manager', 'heartbeat_interval')),
  });
}

function numeric(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** What is not given has the agent's default. */
function withoutUndefined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
