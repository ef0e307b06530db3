import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { settingsOfCloud } from './clouds-file.ts';

/**
 * Every setting, its default and the reason for it. A setting `foo_bar` is the YAML key `foo_bar`, the
 * environment variable `AMPHORAE_FOO_BAR` and the option `--foo-bar`; option beats environment beats file beats
 * default. This is the only module that reads the environment.
 */
const Seconds = z.coerce.number().positive();
const Count = z.coerce.number().int().min(0);
const Flag = z.union([z.boolean(), z.stringbool()]);
const Quota = z.coerce.number().int().min(-1).max(2_000_000_000);
const Path = z
  .string()
  .min(1)
  .transform((path) => resolve(path));
const List = z.union([z.array(z.string()), z.string().transform((text) => text.split(',').filter(Boolean))]);

export const settings = {
  // Where things are.
  data_dir: setting(
    Path,
    resolve(import.meta.dirname, '../.data'),
    'In the checkout, so that a first try leaves nothing elsewhere.',
  ),
  listen: setting(
    z.string().regex(/^\S+:\d+$/),
    '127.0.0.1:9876',
    "Octavia's port; loopback because that is what `auth: none` needs.",
  ),
  database_url: setting(
    z.string(),
    '',
    'Empty: `up` runs a private PostgreSQL in the data directory. DATABASE_URL is read too.',
  ),
  database_connections: setting(Count, 8, 'Per process. Two cores commit no faster with more.'),
  nats_url: setting(z.string(), '', 'Empty: `up` runs a private nats-server.'),
  node_id: setting(
    z.string(),
    '',
    'Name of a controller process in leases and logs; empty: host name and process id.',
  ),
  nodes: setting(
    Count.min(1).max(64),
    1,
    'Controller processes that `up` starts. One is enough for one host.',
  ),
  roles: setting(
    List,
    ['api', 'controller'],
    'What a `serve` process does: answer the REST API, run actors, or both.',
  ),
  log_level: setting(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
    'info',
    'One line for each thing an operator may ask about.',
  ),

  log_format: setting(
    z.enum(['auto', 'json', 'pretty']),
    'auto',
    'An event a line: `json` for programs, `pretty` for people; `auto` is pretty on a terminal only.',
  ),

  // Who may do what.
  auth: setting(
    z.enum(['none', 'keystone']),
    'none',
    'With `none` whoever reaches the API may do everything, so it listens on loopback only.',
  ),
  auth_none_anywhere: setting(
    Flag,
    false,
    'Lets `auth: none` listen on any address. For closed networks only.',
  ),
  policy_rules: setting(
    z.enum(['keystone', 'load-balancer', 'owner']),
    'keystone',
    "Roles that rules ask for: Keystone's reader, member and admin; Octavia's older load-balancer_*; none but admin.",
  ),
  policy_file: setting(
    z.string(),
    '',
    'YAML file of oslo.policy rules that replace single ones; empty: none.',
  ),
  token_cache_seconds: setting(
    Seconds,
    15,
    'A token is asked for again after this long, so a revoked one works no longer than that.',
  ),
  os_auth_url: setting(
    z.string(),
    '',
    "Keystone's address. OS_AUTH_URL is read too, as for each setting os_*.",
  ),
  os_username: setting(
    z.string(),
    '',
    "The service's own account at Keystone, with the role service or admin.",
  ),
  os_user_id: setting(z.string(), '', 'Instead of its name.'),
  os_user_domain_name: setting(z.string(), '', 'Domain of the account; empty, and without an id: Default.'),
  os_user_domain_id: setting(z.string(), '', 'Instead of its name.'),
  os_password: setting(z.string(), '', 'Not an option of the command line: everyone may read those.'),
  os_project_name: setting(z.string(), '', 'Project that the account works in.'),
  os_project_id: setting(z.string(), '', 'Instead of its name.'),
  os_project_domain_name: setting(
    z.string(),
    '',
    'Domain of that project; empty, and without an id: Default.',
  ),
  os_project_domain_id: setting(z.string(), '', 'Instead of its name.'),
  os_application_credential_id: setting(z.string(), '', 'Instead of user, password and project.'),
  os_application_credential_secret: setting(
    z.string(),
    '',
    'Its secret; no option of the command line either.',
  ),
  os_cacert: setting(
    z.string(),
    '',
    "PEM file of the authorities that sign the certificates of the cloud's services.",
  ),
  os_region_name: setting(z.string(), '', "Where the cloud's catalog has several regions; empty: the first."),
  os_interface: setting(
    z.enum(['public', 'internal', 'admin']),
    'public',
    'Which endpoints of the catalog are used.',
  ),
  os_cloud: setting(z.string(), '', 'A cloud in clouds.yaml, which then says what settings os_* do not.'),
  os_client_config_file: setting(
    z.string(),
    '',
    'That clouds.yaml; empty: in the working directory, ~/.config/openstack or /etc/openstack.',
  ),

  // What clients may ask of the API.
  api_connections: setting(
    Count.min(1),
    2_000,
    'At once, per process; more are closed. Each costs a few kilobytes.',
  ),
  api_base_uri: setting(
    z.union([z.literal(''), z.url({ protocol: /^https?$/ })]),
    '',
    'How clients reach the API, for the links in answers; empty: as each request says. For an API behind a proxy.',
  ),
  api_request_seconds: setting(
    Seconds,
    60,
    'A client that sends, or a request that is answered, more slowly is given up.',
  ),
  event_streams: setting(
    Count.min(1),
    1_000,
    'Streams of server-sent events at once, per process. An idle one costs about 30 kB and a line every 15 s.',
  ),
  event_streams_per_project: setting(
    Count.min(1),
    200,
    'Of these, those of one project; without authentication there is no such limit.',
  ),
  event_stream_seconds: setting(
    Seconds,
    3_600,
    'A stream is ended after this long and its client comes again, perhaps to another process.',
  ),
  idempotency_hours: setting(Seconds, 24, 'How long answers are kept for requests with an Idempotency-Key.'),

  // What load balancers are made of.
  provider: setting(
    z.enum(['netns', 'noop', 'openstack']),
    'netns',
    'Real traffic on this host needs only root and four Debian packages.',
  ),
  default_topology: setting(z.enum(['SINGLE', 'ACTIVE_STANDBY']), 'SINGLE', "Octavia's default."),
  enabled_providers: setting(List, ['amphora', 'octavia'], "Names that the API answers to; Octavia's two."),
  default_project: setting(
    z.string(),
    'default',
    'Project of objects made without one while there is no authentication.',
  ),

  allow_vip_port_id: setting(
    Flag,
    true,
    "Users may bring the port of a VIP. Octavia's default, as for the next two.",
  ),
  allow_vip_network_id: setting(Flag, true, 'Users may name the network of a VIP.'),
  allow_vip_subnet_id: setting(Flag, true, 'Users may name the subnet of a VIP.'),
  allow_invisible_resources: setting(
    Flag,
    false,
    'Users may name networks, subnets and ports that they cannot see themselves, so those of other projects.',
  ),
  valid_vip_networks: setting(
    List,
    [],
    'Ids of the networks that VIPs may be in; empty: all. Zones may name others.',
  ),
  denied_vip_networks: setting(List, [], 'Ids of networks that VIPs may never be in.'),

  allow_tls_terminated_listeners: setting(Flag, true, "Octavia's default."),
  allow_prometheus_listeners: setting(Flag, true, "Octavia's default."),
  allow_ping_health_monitors: setting(
    Flag,
    true,
    "Octavia's default. A ping is a program that an amphora runs for each check.",
  ),
  tls_cipher_prohibit_list: setting(
    List,
    [],
    'Ciphers that listeners and pools may not be given, in the names of OpenSSL.',
  ),
  minimum_tls_version: setting(
    z.enum(['', 'SSLv3', 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']),
    '',
    "Oldest version that listeners and pools may be given; empty, Octavia's default: any.",
  ),

  // What a project may have, unless its own quota says otherwise.
  quota_load_balancers: setting(
    Quota,
    -1,
    "Load balancers of a project; -1, Octavia's default, is no limit.",
  ),
  quota_listeners: setting(Quota, -1, 'Listeners of a project.'),
  quota_pools: setting(Quota, -1, 'Pools of a project.'),
  quota_members: setting(Quota, -1, 'Members of a project.'),
  quota_health_monitors: setting(Quota, -1, 'Health monitors of a project.'),
  quota_l7policies: setting(Quota, -1, 'L7 policies of a project.'),
  quota_l7rules: setting(Quota, -1, 'L7 rules of a project.'),

  // The actor runtime.
  lease_seconds: setting(
    Seconds,
    15,
    'A dead node is replaced after this long; shorter leases fail over sooner but suffer from pauses.',
  ),
  sweep_seconds: setting(
    Seconds,
    2,
    'How late a message is taken that NATS lost; one indexed query per sweep.',
  ),
  actor_cache: setting(Count, 2_000, 'Restored actors kept in memory per node; about 10 kB each.'),
  effect_concurrency: setting(
    Count.min(1),
    16,
    'Effects at once per node. More only makes the host start more amphorae at the same time.',
  ),
  provider_concurrency: setting(
    Count.min(1),
    64,
    'Effects at once that make or remove servers and ports, on all nodes together: what a cloud bears besides its users.',
  ),
  effect_attempts: setting(
    Count.min(1),
    5,
    'Tries of one effect for transient errors, where its own deadline allows.',
  ),
  effect_backoff_seconds: setting(Seconds, 1, 'First pause between tries; doubled with each, with jitter.'),
  create_deadline_seconds: setting(
    Seconds,
    900,
    'A load balancer that is not ACTIVE by then is reverted; longer than the boot deadline and its pushes.',
  ),
  update_deadline_seconds: setting(Seconds, 300, 'A change that is not applied by then ends in ERROR.'),
  delete_deadline_seconds: setting(
    Seconds,
    600,
    'A release that is not complete by then ends in ERROR and can be repeated.',
  ),
  boot_deadline_seconds: setting(
    Seconds,
    600,
    "Octavia's 120 x 5 s: a cold hypervisor may have to fetch the image.",
  ),
  agent_deadline_seconds: setting(
    Seconds,
    60,
    'How long a running agent may be unreachable before a push fails.',
  ),
  agent_request_seconds: setting(
    Seconds,
    20,
    'One call to an agent; its slowest work, haproxy start, takes well below a second.',
  ),
  pair_grace_seconds: setting(
    Seconds,
    5,
    'When one amphora of a pair is done, the change waits so much longer for the other and then goes on without it.',
  ),
  api_mutations: setting(
    z.enum(['refuse', 'queue']),
    'refuse',
    'A change while an earlier one is applied: Octavia answers 409; `queue` accepts it and applies it next.',
  ),
  failover_concurrency: setting(
    Count,
    3,
    'Automatic failovers in progress in the whole cloud; 0: none. A host dies with several amphorae, and the others have work.',
  ),
  failover_window_seconds: setting(
    Seconds,
    600,
    'Of what automatic failovers are counted in; one load balancer has at most one in it.',
  ),
  failover_window_limit: setting(
    Count,
    30,
    'Automatic failovers that begin within the window: what keeps failing must not go on unseen.',
  ),
  failover_stop_percent: setting(
    z.coerce.number().min(0).max(100),
    25,
    'No automatic failover while more of all amphorae are stale: then heartbeats have failed rather than amphorae.',
  ),
  failover_stop_minimum: setting(
    Count,
    5,
    'So few stale amphorae never stop automatic failovers: of four amphorae, one is 25 %.',
  ),
  orphan_period_seconds: setting(
    Seconds,
    600,
    'How often servers and ports whose owner has ended are looked for: one list of each from the provider.',
  ),
  orphan_grace_seconds: setting(
    Seconds,
    900,
    'So long after its owner has ended, a late call of a stopped process may still be on its way.',
  ),
  actor_history_hours: setting(
    Seconds,
    168,
    'What each actor did, for `amphorae actors history`: a week; a row of about 1 kB for each event.',
  ),
  dead_letter_hours: setting(
    Seconds,
    720,
    'Events that could not be processed wait this long for an operator.',
  ),
  audit_hours: setting(Seconds, 8_760, 'What operators did is kept for a year.'),
  deleted_hours: setting(
    Seconds,
    168,
    "Octavia's 7 days: deleted load balancers and the actors behind them.",
  ),
  status_retention_hours: setting(
    Seconds,
    168,
    'Status events stay on the stream this long: a subscriber that was away for a week misses nothing.',
  ),
  status_retention_mebibytes: setting(
    Count.min(1),
    256,
    'The oldest status events go beyond this; room for about 400,000.',
  ),
  vip_port_at_boot: setting(
    Flag,
    true,
    'VIP ports that are VFs are made before boot, so that the scheduler sees the demand.',
  ),
  secrets_dir: setting(
    z.string(),
    '',
    'Files that `file:NAME` as a TLS reference means; empty: `secrets` in the data directory.',
  ),
  anti_affinity: setting(
    z.enum(['none', 'anti-affinity', 'soft-anti-affinity']),
    'anti-affinity',
    'The amphorae of a pair on different hosts, or no host is valid; `soft-` prefers it only. netns has one host.',
  ),
  certificate_days: setting(Count, 30, "Octavia's lifetime of amphora certificates."),

  // Heartbeats of amphorae.
  heartbeat_address: setting(
    z.string(),
    '',
    "Where a controller hears amphorae. Empty: this host's address on the management network of netns; noop has none.",
  ),
  heartbeat_port: setting(Count.min(1).max(65_535), 5555, "UDP; Octavia's."),
  heartbeat_controllers: setting(
    List,
    [],
    'Controllers that amphorae report to in turn, as address:port. Empty: the one that starts them.',
  ),
  heartbeat_key: setting(
    z.string(),
    '',
    'Signs heartbeats. Empty: made at the first start and kept in the data directory, readable by root only.',
  ),
  heartbeat_interval_seconds: setting(Seconds, 10, "Octavia's; operating statuses follow this fast."),
  heartbeat_timeout_seconds: setting(
    Seconds,
    60,
    "Octavia's: six heartbeats lost in a row are no accident, the amphora is stale.",
  ),
  heartbeat_check_seconds: setting(Seconds, 3, "How often to look for stale amphorae; Octavia's."),
  connection_logging: setting(
    Flag,
    false,
    'Whether haproxy logs each connection, to the syslog of its amphora, as those of Octavia do: it costs throughput.',
  ),

  // The netns provider.
  netns_management_cidr: setting(
    z.string(),
    'fd61:6d70:686f::/64',
    'Management network between this host and its amphorae; unique local, so it collides with nothing.',
  ),
  netns_management_bridge: setting(
    z.string().max(15),
    'amp-mgmt',
    'Its bridge. Interface names have at most 15 characters.',
  ),
  netns_bridge_prefix: setting(
    z.string().max(4),
    'ampn',
    'Bridges of networks are <prefix><8 digits of the network id>.',
  ),
  netns_direct: setting(
    z.enum(['auto', 'vf', 'macvlan', 'none']),
    'auto',
    'What a `direct` port is: a VF where the network has a physical function, else a macvlan stand-in.',
  ),
  netns_stand_in_vfs: setting(
    Count,
    32,
    'macvlan stand-ins per network; an 82576 has 7 VFs, current NICs 64 and more.',
  ),
  netns_compute_flavors: setting(
    List,
    ['default'],
    'Compute flavors that this host satisfies; any other finds no valid host.',
  ),
  netns_capacity: setting(Count, 500, 'Amphorae on this host; each takes about 60 MiB.'),

  // The openstack provider. The account is that of the settings os_*.
  openstack_compute_flavor: setting(
    z.string(),
    '',
    "Id of Nova's flavor for amphorae, unless the load balancer's flavor has one.",
  ),
  openstack_image_tag: setting(
    z.string(),
    'amphora',
    "The newest active image with this tag, unless the load balancer's flavor has another; Octavia's name.",
  ),
  openstack_image_owner: setting(
    z.string(),
    '',
    'Project whose images are used; empty: of any, so tags of strangers count.',
  ),
  openstack_management_networks: setting(
    List,
    [],
    'Ids of the networks by which agents are reached, unless the availability zone has one. The first is used.',
  ),
  openstack_management_security_groups: setting(
    List,
    [],
    'Ids of the security groups of management ports; they have to let the controllers reach port 9443.',
  ),
  openstack_zone: setting(z.string(), '', "Nova's availability zone; empty: any."),
  openstack_lvs: setting(
    Flag,
    true,
    'Whether the kernel of the amphora image has IPVS, as that of agent/image/build has; without it, UDP and SCTP listeners are refused.',
  ),
  openstack_key_name: setting(z.string(), '', 'Key pair for logging in to amphorae; empty: none.'),

  // The noop provider, for trying out failure.
  noop_fail: setting(
    List,
    [],
    'Verbs that fail, as `verb:kind[:count]` (createServer:placement, attachPort:transient:2, ...).',
  ),
} as const satisfies Record<string, Setting>;

interface Setting {
  schema: z.ZodType;
  fallback: unknown;
  reason: string;
}

function setting<T extends z.ZodType>(schema: T, fallback: z.output<T>, reason: string) {
  return { schema, fallback, reason };
}

export type Config = { [K in keyof typeof settings]: z.output<(typeof settings)[K]['schema']> };
export type SettingName = keyof Config;

/** Thrown with one line for each setting that is wrong, naming where it came from. */
export class ConfigError extends Error {}

/**
 * Merge options, environment and file into a checked configuration.
 * @param options command-line options in snake_case; `config` names a YAML file.
 * @throws ConfigError
 */
export function loadConfig(
  options: Partial<Record<SettingName | 'config', unknown>> = {},
  environment: NodeJS.ProcessEnv = process.env,
): Config {
  const path = options.config ?? environment.AMPHORAE_CONFIG;
  const file = path === undefined ? {} : readFile(String(path));
  const problems = Object.keys(file)
    .filter((key) => !(key in settings))
    .map((key) => `${key}: unknown setting in ${path}`);

  const cloudName =
    options.os_cloud ?? environment.AMPHORAE_OS_CLOUD ?? file.os_cloud ?? environment.OS_CLOUD;
  const cloud = cloudName ? readCloud(String(cloudName), options, environment) : {};

  const config: Record<string, unknown> = {};
  for (const [name, { schema, fallback }] of Object.entries(settings)) {
    const variable = `AMPHORAE_${name.toUpperCase()}`;
    const sources: [string, unknown][] = [
      [`option --${name.replaceAll('_', '-')}`, options[name as SettingName]],
      [`environment variable ${variable}`, environment[variable]],
      [String(path), file[name]],
      [`cloud ${cloudName} of clouds.yaml`, cloud[name]],
      [`environment variable ${commonVariable(name)}`, environment[commonVariable(name) ?? '']],
    ];
    const [source, value] = sources.find(([, given]) => given !== undefined) ?? ['default', fallback];
    const parsed = schema.safeParse(value);
    if (parsed.success) config[name] = parsed.data;
    else problems.push(`${name}: ${parsed.error.issues[0]?.message} (${source})`);
  }
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  // What the cloud says is in the other settings now: a child process, which gets them, may not find the file again.
  return { ...(config as Config), os_cloud: '', os_client_config_file: '' };
}

/** The settings `os_*` of a cloud, from where openstacksdk would look for it. */
function readCloud(
  name: string,
  { os_client_config_file }: Partial<Record<SettingName, unknown>>,
  { AMPHORAE_OS_CLIENT_CONFIG_FILE, OS_CLIENT_CONFIG_FILE, HOME = '/root' }: NodeJS.ProcessEnv,
): Record<string, unknown> {
  const named = os_client_config_file || AMPHORAE_OS_CLIENT_CONFIG_FILE || OS_CLIENT_CONFIG_FILE;
  const places = named
    ? [String(named)]
    : ['clouds.yaml', `${HOME}/.config/openstack/clouds.yaml`, '/etc/openstack/clouds.yaml'];
  const path = places.find((place) => existsSync(place));
  if (!path) throw new ConfigError(`os_cloud: no clouds.yaml in ${places.join(', ')}`);
  try {
    return settingsOfCloud(readFileSync(path, 'utf8'), name);
  } catch (error) {
    throw new ConfigError(`os_cloud: ${path}: ${(error as Error).message}`);
  }
}

/** The variable by which everybody else knows a setting. */
function commonVariable(name: string): string | undefined {
  return name === 'database_url' || name.startsWith('os_') ? name.toUpperCase() : undefined;
}

/** Settings that are never given as arguments of a process, which everyone may read. */
export const secretSettings: SettingName[] = ['os_password', 'os_application_credential_secret'];

function readFile(path: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`cannot read the configuration file ${path}: ${(error as Error).message}`);
  }
  if (parsed === null) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new ConfigError(`${path}: expected a mapping of settings`);
  }
  return parsed as Record<string, unknown>;
}

/** Settings as environment variables, to hand a configuration on to a child process. */
export function toEnvironment(config: Partial<Config>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [
      `AMPHORAE_${name.toUpperCase()}`,
      Array.isArray(value) ? value.join(',') : String(value),
    ]),
  );
}

/** Environment of the programs that we start: how to find other programs, and no setting or secret of ours. */
export function programEnvironment(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return { PATH: environment.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
}
