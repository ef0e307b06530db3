import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type {
  L7PolicyNode,
  L7RuleNode,
  ListenerProtocol,
  PoolNode,
  PoolProtocol,
  SessionPersistence,
  TlsVersion,
} from '../model/graph.ts';
import type {
  AmphoraRole,
  AmphoraStatus,
  OperatingStatus,
  ProvisioningStatus,
  Topology,
  VnicType,
} from '../model/status.ts';

/** Row types of `migrations/`. `bigint` columns are numbers here (see `database.ts`): revisions stay below 2^53. */
export interface Database {
  flavor_profiles: FlavorProfileTable;
  flavors: FlavorTable;
  availability_zone_profiles: AvailabilityZoneProfileTable;
  availability_zones: AvailabilityZoneTable;
  quotas: QuotaTable;
  load_balancers: LoadBalancerTable;
  additional_vips: AdditionalVipTable;
  amphorae: AmphoraTable;
  amphora_ports: AmphoraPortTable;
  amphora_health: AmphoraHealthTable;
  listener_statistics: ListenerStatisticsTable;
  pools: PoolTable;
  listeners: ListenerTable;
  members: MemberTable;
  health_monitors: HealthMonitorTable;
  l7policies: L7PolicyTable;
  l7rules: L7RuleTable;
  pool_uses: PoolUseView;
  vip_intents: VipIntentTable;
  idempotency_keys: IdempotencyKeyTable;
  nodes: NodeTable;
  partitions: PartitionTable;
  actors: ActorTable;
  messages: MessageTable;
  dead_letters: DeadLetterTable;
  timers: TimerTable;
  actor_events: ActorEventTable;
  actor_audit: ActorAuditTable;
  failover_limiter: FailoverLimiterTable;
  automatic_failovers: AutomaticFailoverTable;
  chores: ChoreTable;
  status_events: StatusEventTable;
  status_publisher: StatusPublisherTable;
  netns_networks: NetnsNetworkTable;
  netns_subnets: NetnsSubnetTable;
  netns_ports: NetnsPortTable;
  netns_addresses: NetnsAddressTable;
  netns_servers: NetnsServerTable;
}

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
type NullableTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type Defaulted<T> = ColumnType<T, T | undefined, T>;
type Json<T extends object | null> = JSONColumnType<T, string | undefined, string>;

interface Timestamps {
  created_at: Timestamp;
  updated_at: NullableTimestamp;
}

/** What every object below (and including) a load balancer has. */
interface Provisioned extends Timestamps {
  id: string;
  provisioning_status: Defaulted<ProvisioningStatus>;
  operating_status: Defaulted<OperatingStatus>;
  revision: Defaulted<number>;
  withheld: Defaulted<boolean>;
  error_code: string | null;
  error_message: string | null;
  tags: Defaulted<string[]>;
  admin_state_up: Defaulted<boolean>;
  project_id: string;
}

interface Named {
  name: Defaulted<string>;
  description: Defaulted<string>;
}

export interface FlavorProfileTable {
  id: string;
  name: string;
  provider_name: string;
  flavor_data: string;
  created_at: Timestamp;
}

export interface FlavorTable extends Named {
  id: string;
  enabled: Defaulted<boolean>;
  flavor_profile_id: string;
  created_at: Timestamp;
}

export interface AvailabilityZoneProfileTable {
  id: string;
  name: string;
  provider_name: string;
  availability_zone_data: string;
  created_at: Timestamp;
}

export interface AvailabilityZoneTable extends Named {
  enabled: Defaulted<boolean>;
  availability_zone_profile_id: string;
  created_at: Timestamp;
}

export interface QuotaTable {
  project_id: string;
  load_balancer: number | null;
  listener: number | null;
  pool: number | null;
  member: number | null;
  health_monitor: number | null;
  l7policy: number | null;
  l7rule: number | null;
  in_use_load_balancer: number | null;
  in_use_listener: number | null;
  in_use_pool: number | null;
  in_use_member: number | null;
  in_use_health_monitor: number | null;
  in_use_l7policy: number | null;
  in_use_l7rule: number | null;
}

export interface LoadBalancerTable extends Provisioned, Named {
  provider: string;
  topology: Topology;
  flavor_id: string | null;
  availability_zone: string | null;
  vip_address: string | null;
  vip_subnet_id: string | null;
  vip_network_id: string | null;
  vip_port_id: string | null;
  vip_qos_policy_id: string | null;
  /** false when the user brought the port: it is used as it is and never deleted. */
  vip_port_owned: Defaulted<boolean>;
  vip_vnic_type: Defaulted<VnicType>;
  vip_sg_ids: Defaulted<string[]>;
  server_group_id: string | null;
  desired_revision: Defaulted<number>;
  applied_revision: Defaulted<number>;
}

export interface AdditionalVipTable {
  load_balancer_id: string;
  position: number;
  subnet_id: string;
  network_id: string | null;
  ip_address: string | null;
  port_id: string | null;
}

export interface AmphoraTable extends Timestamps {
  id: string;
  load_balancer_id: string;
  status: AmphoraStatus;
  role: AmphoraRole;
  compute_id: string | null;
  lb_network_ip: string | null;
  vrrp_ip: string | null;
  ha_ip: string | null;
  vrrp_port_id: string | null;
  ha_port_id: string | null;
  vrrp_interface: string | null;
  vrrp_id: number | null;
  vrrp_priority: number | null;
  cert_expiration: NullableTimestamp;
  cert_busy: Defaulted<boolean>;
  cached_zone: string | null;
  image_id: string | null;
  compute_flavor: string | null;
  /** When health monitoring said that its heartbeats had stopped. */
  stale_since: NullableTimestamp;
  applied_revision: Defaulted<number>;
  error_code: string | null;
  error_message: string | null;
}

export interface AmphoraPortTable {
  port_id: string;
  amphora_id: string;
  role: 'vip' | 'member';
  network_id: string;
  vnic_type: Defaulted<VnicType>;
  mac_address: string;
  mtu: number;
  fixed_ips: Json<{ subnetId: string; ipAddress: string }[]>;
}

export interface AmphoraHealthTable {
  amphora_id: string;
  last_update: Timestamp;
  sequence: number | null;
  stale: Defaulted<boolean>;
}

export interface ListenerStatisticsTable {
  listener_id: string;
  amphora_id: string;
  bytes_in: Defaulted<number>;
  bytes_out: Defaulted<number>;
  active_connections: Defaulted<number>;
  total_connections: Defaulted<number>;
  request_errors: Defaulted<number>;
}

export interface PoolTable extends Provisioned, Named {
  load_balancer_id: string;
  protocol: PoolProtocol;
  lb_algorithm: PoolNode['lbAlgorithm'];
  session_persistence: JSONColumnType<SessionPersistence | null, string | null | undefined, string | null>;
  tls_enabled: Defaulted<boolean>;
  tls_container_ref: string | null;
  ca_tls_container_ref: string | null;
  crl_container_ref: string | null;
  tls_ciphers: string | null;
  tls_versions: TlsVersion[] | null;
  alpn_protocols: string[] | null;
}

export interface ListenerTable extends Provisioned, Named {
  load_balancer_id: string;
  protocol: ListenerProtocol;
  protocol_port: number;
  l4_protocol: Generated<'TCP' | 'UDP' | 'SCTP'>;
  connection_limit: Defaulted<number>;
  default_pool_id: string | null;
  insert_headers: Json<Record<string, string>>;
  allowed_cidrs: string[] | null;
  timeout_client_data: Defaulted<number>;
  timeout_member_connect: Defaulted<number>;
  timeout_member_data: Defaulted<number>;
  timeout_tcp_inspect: Defaulted<number>;
  default_tls_container_ref: string | null;
  sni_container_refs: Defaulted<string[]>;
  client_ca_tls_container_ref: string | null;
  client_crl_container_ref: string | null;
  client_authentication: Defaulted<'NONE' | 'OPTIONAL' | 'MANDATORY'>;
  tls_ciphers: string | null;
  tls_versions: TlsVersion[] | null;
  alpn_protocols: string[] | null;
  hsts_max_age: number | null;
  hsts_include_subdomains: Defaulted<boolean>;
  hsts_preload: Defaulted<boolean>;
}

export interface MemberTable extends Provisioned {
  pool_id: string;
  load_balancer_id: string;
  name: Defaulted<string>;
  address: string;
  protocol_port: number;
  weight: Defaulted<number>;
  backup: Defaulted<boolean>;
  subnet_id: string | null;
  network_id: string | null;
  vnic_type: Defaulted<VnicType>;
  monitor_address: string | null;
  monitor_port: number | null;
}

export interface HealthMonitorTable extends Provisioned {
  pool_id: string;
  load_balancer_id: string;
  name: Defaulted<string>;
  type: 'HTTP' | 'HTTPS' | 'TCP' | 'PING' | 'TLS-HELLO' | 'UDP-CONNECT' | 'SCTP';
  delay: number;
  timeout: number;
  max_retries: number;
  max_retries_down: Defaulted<number>;
  http_method: string | null;
  url_path: string | null;
  expected_codes: string | null;
  http_version: number | null;
  domain_name: string | null;
}

export interface L7PolicyTable extends Provisioned, Named {
  listener_id: string;
  load_balancer_id: string;
  action: L7PolicyNode['action'];
  position: number;
  redirect_pool_id: string | null;
  redirect_url: string | null;
  redirect_prefix: string | null;
  redirect_http_code: number | null;
}

export interface L7RuleTable extends Provisioned {
  l7policy_id: string;
  load_balancer_id: string;
  type: L7RuleNode['type'];
  compare_type: L7RuleNode['compareType'];
  key: string | null;
  value: string;
  invert: Defaulted<boolean>;
}

/** Which listeners use which pools (contract B2). */
export interface PoolUseView {
  listener_id: string;
  pool_id: string;
}

export interface IdempotencyKeyTable {
  project_id: string;
  key: string;
  request: string;
  /** What the request makes. */
  object_id: string;
  claimed_until: Timestamp;
  answer_status: number | null;
  answer_body: string | null;
  created_at: Timestamp;
}

export interface VipIntentTable {
  load_balancer_id: string;
  port_name: string;
  expires_at: Timestamp;
}

export interface NodeTable {
  id: string;
  seen_at: Timestamp;
  draining: Defaulted<boolean>;
}

export interface PartitionTable {
  id: number;
  owner: string | null;
  epoch: Defaulted<number>;
  lease_until: Timestamp;
}

export interface ActorTable {
  kind: string;
  id: string;
  partition: number;
  machine_version: number;
  xstate_version: string;
  state: Defaulted<string>;
  snapshot: JSONColumnType<object | null, string | null | undefined, string | null>;
  input: Json<object>;
  effects: Json<object>;
  version: Defaulted<number>;
  epoch: Defaulted<number>;
  done: Defaulted<boolean>;
  quarantined: string | null;
  created_at: Timestamp;
  updated_at: Timestamp;
  /** Since when it is in its state. */
  state_since: Timestamp;
}

export interface MessageTable {
  id: string;
  seq: Generated<number>;
  partition: number;
  actor_kind: string;
  actor_id: string;
  event: Json<object>;
  reply_to: string | null;
  created_at: Timestamp;
}

export interface DeadLetterTable {
  id: string;
  partition: number;
  actor_kind: string;
  actor_id: string;
  event: Json<object>;
  error: string;
  created_at: Timestamp;
  died_at: Timestamp;
}

export interface TimerTable {
  actor_kind: string;
  actor_id: string;
  name: string;
  partition: number;
  event: Json<object>;
  due_at: Timestamp;
  armed_version: number;
}

export interface ActorEventTable {
  seq: Generated<number>;
  actor_kind: string;
  actor_id: string;
  version: number;
  epoch: number;
  node: string;
  event: Json<object>;
  from_state: string;
  to_state: string;
  actions: Json<object[]>;
  handled: boolean;
  at: Timestamp;
}

/** Written by a trigger, so never inserted from here. */
export interface StatusEventTable {
  sequence: Generated<number>;
  time: Timestamp;
  resource: string;
  id: string;
  project_id: string;
  load_balancer_id: string;
  revision: number;
  operation: 'INSERT' | 'UPDATE' | 'DELETE';
  old_provisioning_status: string | null;
  new_provisioning_status: string | null;
  old_operating_status: string | null;
  new_operating_status: string | null;
}

export interface StatusPublisherTable {
  only_row: Defaulted<boolean>;
  holder: string | null;
}

export interface ActorAuditTable {
  id: Generated<string>;
  created_at: Timestamp;
  operator: string;
  action: string;
  actor_kind: string | null;
  actor_id: string | null;
  payload: Json<object>;
}

export interface FailoverLimiterTable {
  only_row: Defaulted<boolean>;
  state: Defaulted<'admitting' | 'stopped' | 'overridden'>;
  reason: Defaulted<string>;
  changed_at: Timestamp;
  changed_by: Defaulted<string>;
}

export interface AutomaticFailoverTable {
  id: Generated<number>;
  load_balancer_id: string;
  admitted_at: Timestamp;
  ended_at: NullableTimestamp;
}

export interface ChoreTable {
  name: string;
  due_at: Timestamp;
}

export interface NetnsNetworkTable {
  id: string;
  name: string;
  bridge: string;
  mtu: Defaulted<number>;
  vnic_types: VnicType[];
  physical_function: string | null;
  vlan: number | null;
  created_at: Timestamp;
}

export interface NetnsSubnetTable {
  id: string;
  network_id: string;
  cidr: string;
  gateway_ip: string | null;
  host_routes: Json<{ destination: string; nexthop: string }[]>;
  created_at: Timestamp;
}

export interface NetnsPortTable {
  id: string;
  name: string;
  network_id: string;
  mac_address: string;
  vnic_type: Defaulted<VnicType>;
  admin_state_up: boolean;
  device_id: string | null;
  allowed_addresses: Defaulted<string[]>;
  /** Server the port is plugged into, or null. */
  attached_to: string | null;
  /** The virtual function (PCI address) or stand-in (`<network>/<n>`) that the port holds. */
  vf: string | null;
  created_at: Timestamp;
}

export interface NetnsAddressTable {
  subnet_id: string;
  ip_address: string;
  port_id: string;
  position: number;
}

export interface NetnsServerTable {
  id: string;
  name: string;
  amphora_id: string;
  load_balancer_id: string;
  management_address: string;
  /** False while it is being made, and when who made it died. */
  started: Defaulted<boolean>;
  created_at: Timestamp;
}
