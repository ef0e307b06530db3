import { type Kysely, sql } from 'kysely';

/**
 * The whole data model. Conventions:
 * - `revision` of a row is the load balancer's `desired_revision` at its last change; a push that applied
 *   revision N settles every pending row with `revision <= N`.
 * - `withheld` rows are kept out of the data plane: their last change could not be applied.
 * - addresses are text, because the API returns them as given.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const provisioningStatus = `provisioning_status text NOT NULL DEFAULT 'PENDING_CREATE' CHECK (provisioning_status IN
    ('PENDING_CREATE', 'PENDING_UPDATE', 'PENDING_DELETE', 'ACTIVE', 'ERROR', 'DELETED'))`;
const operatingStatus = `operating_status text NOT NULL DEFAULT 'OFFLINE' CHECK (operating_status IN
    ('ONLINE', 'OFFLINE', 'DEGRADED', 'ERROR', 'DRAINING', 'NO_MONITOR'))`;
const timestamps = `created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz`;
const outcome = `revision bigint NOT NULL DEFAULT 0, withheld boolean NOT NULL DEFAULT false,
    error_code text, error_message text`;
const vnicType = (column: string) =>
  `${column} text NOT NULL DEFAULT 'normal' CHECK (${column} IN ('normal', 'direct'))`;
const tags = `tags text[] NOT NULL DEFAULT '{}'`;

const statements = [
  `CREATE TABLE flavor_profiles (
    id uuid PRIMARY KEY, name text NOT NULL, provider_name text NOT NULL, flavor_data text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE flavors (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, description text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    flavor_profile_id uuid NOT NULL REFERENCES flavor_profiles (id),
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE availability_zone_profiles (
    id uuid PRIMARY KEY, name text NOT NULL, provider_name text NOT NULL, availability_zone_data text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE availability_zones (
    name text PRIMARY KEY, description text NOT NULL DEFAULT '', enabled boolean NOT NULL DEFAULT true,
    availability_zone_profile_id uuid NOT NULL REFERENCES availability_zone_profiles (id),
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE quotas (
    project_id text PRIMARY KEY,
    load_balancer integer, listener integer, pool integer, member integer,
    health_monitor integer, l7policy integer, l7rule integer,
    in_use_load_balancer integer, in_use_listener integer, in_use_pool integer, in_use_member integer,
    in_use_health_monitor integer, in_use_l7policy integer, in_use_l7rule integer)`,
  `CREATE TABLE load_balancers (
    id uuid PRIMARY KEY, project_id text NOT NULL,
    name text NOT NULL DEFAULT '', description text NOT NULL DEFAULT '',
    admin_state_up boolean NOT NULL DEFAULT true,
    ${provisioningStatus}, ${operatingStatus},
    provider text NOT NULL, topology text NOT NULL CHECK (topology IN ('SINGLE', 'ACTIVE_STANDBY')),
    flavor_id uuid REFERENCES flavors (id), availability_zone text REFERENCES availability_zones (name),
    vip_address text, vip_subnet_id uuid, vip_network_id uuid, vip_port_id uuid, vip_qos_policy_id uuid,
    vip_port_owned boolean NOT NULL DEFAULT true, ${vnicType('vip_vnic_type')},
    vip_sg_ids uuid[] NOT NULL DEFAULT '{}', server_group_id text, ${tags},
    desired_revision bigint NOT NULL DEFAULT 1, applied_revision bigint NOT NULL DEFAULT 0,
    ${outcome}, ${timestamps})`,
  `CREATE INDEX load_balancers_project ON load_balancers (project_id, created_at, id)
    WHERE provisioning_status <> 'DELETED'`,
  `CREATE INDEX load_balancers_created ON load_balancers (created_at, id) WHERE provisioning_status <> 'DELETED'`,
  `CREATE TABLE additional_vips (
    load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE, position integer NOT NULL,
    subnet_id uuid NOT NULL, network_id uuid, ip_address text, port_id uuid,
    PRIMARY KEY (load_balancer_id, position), UNIQUE (load_balancer_id, subnet_id))`,
  `CREATE TABLE amphorae (
    id uuid PRIMARY KEY, load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN
      ('PENDING_CREATE', 'BOOTING', 'ALLOCATED', 'PENDING_DELETE', 'ERROR', 'DELETED')),
    role text NOT NULL CHECK (role IN ('STANDALONE', 'MASTER', 'BACKUP')),
    compute_id text, lb_network_ip text, vrrp_ip text, ha_ip text, vrrp_port_id uuid, ha_port_id uuid,
    vrrp_interface text, vrrp_id integer, vrrp_priority integer,
    cert_expiration timestamptz, cert_busy boolean NOT NULL DEFAULT false,
    cached_zone text, image_id text, compute_flavor text,
    applied_revision bigint NOT NULL DEFAULT 0, error_code text, error_message text, ${timestamps})`,
  `CREATE INDEX amphorae_load_balancer ON amphorae (load_balancer_id)`,
  `CREATE TABLE amphora_ports (
    port_id uuid PRIMARY KEY, amphora_id uuid NOT NULL REFERENCES amphorae (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('vip', 'member')), network_id uuid NOT NULL, ${vnicType('vnic_type')},
    mac_address text NOT NULL, mtu integer NOT NULL, fixed_ips jsonb NOT NULL DEFAULT '[]')`,
  `CREATE INDEX amphora_ports_amphora ON amphora_ports (amphora_id)`,
  `CREATE TABLE pools (
    id uuid PRIMARY KEY, load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    project_id text NOT NULL, name text NOT NULL DEFAULT '', description text NOT NULL DEFAULT '',
    admin_state_up boolean NOT NULL DEFAULT true, ${provisioningStatus}, ${operatingStatus},
    protocol text NOT NULL, lb_algorithm text NOT NULL, session_persistence jsonb,
    tls_enabled boolean NOT NULL DEFAULT false, tls_container_ref text, ca_tls_container_ref text,
    crl_container_ref text, tls_ciphers text, tls_versions text[], alpn_protocols text[],
    ${tags}, ${outcome}, ${timestamps})`,
  `CREATE INDEX pools_load_balancer ON pools (load_balancer_id)`,
  `CREATE TABLE listeners (
    id uuid PRIMARY KEY, load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    project_id text NOT NULL, name text NOT NULL DEFAULT '', description text NOT NULL DEFAULT '',
    admin_state_up boolean NOT NULL DEFAULT true, ${provisioningStatus}, ${operatingStatus},
    protocol text NOT NULL, protocol_port integer NOT NULL CHECK (protocol_port BETWEEN 1 AND 65535),
    l4_protocol text GENERATED ALWAYS AS (CASE WHEN protocol IN ('UDP', 'SCTP') THEN protocol ELSE 'TCP' END) STORED,
    connection_limit integer NOT NULL DEFAULT -1,
    default_pool_id uuid REFERENCES pools (id) ON DELETE SET NULL,
    insert_headers jsonb NOT NULL DEFAULT '{}', allowed_cidrs text[],
    timeout_client_data integer NOT NULL DEFAULT 50000, timeout_member_connect integer NOT NULL DEFAULT 5000,
    timeout_member_data integer NOT NULL DEFAULT 50000, timeout_tcp_inspect integer NOT NULL DEFAULT 0,
    default_tls_container_ref text, sni_container_refs text[] NOT NULL DEFAULT '{}',
    client_ca_tls_container_ref text, client_crl_container_ref text,
    client_authentication text NOT NULL DEFAULT 'NONE', tls_ciphers text, tls_versions text[], alpn_protocols text[],
    hsts_max_age integer, hsts_include_subdomains boolean NOT NULL DEFAULT false,
    hsts_preload boolean NOT NULL DEFAULT false,
    ${tags}, ${outcome}, ${timestamps},
    UNIQUE (load_balancer_id, l4_protocol, protocol_port))`,
  `CREATE INDEX listeners_default_pool ON listeners (default_pool_id)`,
  `CREATE TABLE members (
    id uuid PRIMARY KEY, pool_id uuid NOT NULL REFERENCES pools (id) ON DELETE CASCADE,
    load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    project_id text NOT NULL, name text NOT NULL DEFAULT '', admin_state_up boolean NOT NULL DEFAULT true,
    ${provisioningStatus}, ${operatingStatus},
    address text NOT NULL, protocol_port integer NOT NULL CHECK (protocol_port BETWEEN 1 AND 65535),
    weight integer NOT NULL DEFAULT 1, backup boolean NOT NULL DEFAULT false, subnet_id uuid, network_id uuid,
    ${vnicType('vnic_type')}, monitor_address text, monitor_port integer,
    ${tags}, ${outcome}, ${timestamps},
    UNIQUE (pool_id, address, protocol_port))`,
  `CREATE INDEX members_load_balancer ON members (load_balancer_id)`,
  `CREATE TABLE health_monitors (
    id uuid PRIMARY KEY, pool_id uuid NOT NULL UNIQUE REFERENCES pools (id) ON DELETE CASCADE,
    load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    project_id text NOT NULL, name text NOT NULL DEFAULT '', admin_state_up boolean NOT NULL DEFAULT true,
    ${provisioningStatus}, ${operatingStatus},
    type text NOT NULL, delay integer NOT NULL, timeout integer NOT NULL, max_retries integer NOT NULL,
    max_retries_down integer NOT NULL DEFAULT 3, http_method text, url_path text, expected_codes text,
    http_version real, domain_name text, ${tags}, ${outcome}, ${timestamps})`,
  `CREATE INDEX health_monitors_load_balancer ON health_monitors (load_balancer_id)`,
  `CREATE TABLE l7policies (
    id uuid PRIMARY KEY, listener_id uuid NOT NULL REFERENCES listeners (id) ON DELETE CASCADE,
    load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    project_id text NOT NULL, name text NOT NULL DEFAULT '', description text NOT NULL DEFAULT '',
    admin_state_up boolean NOT NULL DEFAULT true, ${provisioningStatus}, ${operatingStatus},
    action text NOT NULL, position integer NOT NULL, redirect_pool_id uuid REFERENCES pools (id),
    redirect_url text, redirect_prefix text, redirect_http_code integer, ${tags}, ${outcome}, ${timestamps})`,
  `CREATE INDEX l7policies_load_balancer ON l7policies (load_balancer_id)`,
  `CREATE INDEX l7policies_listener ON l7policies (listener_id, position)`,
  `CREATE TABLE l7rules (
    id uuid PRIMARY KEY, l7policy_id uuid NOT NULL REFERENCES l7policies (id) ON DELETE CASCADE,
    load_balancer_id uuid NOT NULL REFERENCES load_balancers (id) ON DELETE CASCADE,
    project_id text NOT NULL, admin_state_up boolean NOT NULL DEFAULT true, ${provisioningStatus}, ${operatingStatus},
    type text NOT NULL, compare_type text NOT NULL, key text, value text NOT NULL,
    invert boolean NOT NULL DEFAULT false, ${tags}, ${outcome}, ${timestamps})`,
  `CREATE INDEX l7rules_load_balancer ON l7rules (load_balancer_id)`,
  `CREATE INDEX l7rules_policy ON l7rules (l7policy_id)`,
  // A port is made before the transaction that stores its load balancer; the intent lets a sweep find the port
  // when the process dies between the two.
  `CREATE TABLE vip_intents (
    load_balancer_id uuid PRIMARY KEY, port_name text NOT NULL, expires_at timestamptz NOT NULL)`,

  // The actor runtime.
  `CREATE TABLE nodes (
    id text PRIMARY KEY, seen_at timestamptz NOT NULL, draining boolean NOT NULL DEFAULT false)`,
  `CREATE TABLE partitions (
    id integer PRIMARY KEY, owner text, epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity')`,
  `INSERT INTO partitions (id) SELECT generate_series(0, 63)`,
  `CREATE TABLE actors (
    kind text NOT NULL, id uuid NOT NULL, partition integer NOT NULL REFERENCES partitions (id),
    machine_version integer NOT NULL, xstate_version text NOT NULL,
    state text NOT NULL DEFAULT '', snapshot jsonb, input jsonb NOT NULL,
    effects jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 0, epoch bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false, quarantined text,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, id))`,
  `CREATE INDEX actors_busy ON actors (partition) WHERE effects <> '{}'`,
  `CREATE TABLE messages (
    id uuid PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY, partition integer NOT NULL,
    actor_kind text NOT NULL, actor_id uuid NOT NULL, event jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE INDEX messages_mailbox ON messages (actor_id, actor_kind, seq)`,
  `CREATE INDEX messages_partition ON messages (partition, seq)`,
  `CREATE TABLE dead_letters (
    id uuid PRIMARY KEY, partition integer NOT NULL, actor_kind text NOT NULL, actor_id uuid NOT NULL,
    event jsonb NOT NULL, error text NOT NULL, created_at timestamptz NOT NULL, died_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE timers (
    actor_kind text NOT NULL, actor_id uuid NOT NULL, name text NOT NULL, partition integer NOT NULL,
    event jsonb NOT NULL, due_at timestamptz NOT NULL, armed_version bigint NOT NULL,
    PRIMARY KEY (actor_kind, actor_id, name))`,
  `CREATE INDEX timers_due ON timers (partition, due_at)`,
  `CREATE TABLE actor_events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor_kind text NOT NULL, actor_id uuid NOT NULL, version bigint NOT NULL, epoch bigint NOT NULL, node text NOT NULL,
    event jsonb NOT NULL, from_state text NOT NULL, to_state text NOT NULL, actions jsonb NOT NULL DEFAULT '[]',
    handled boolean NOT NULL, at timestamptz NOT NULL DEFAULT now())`,
  `CREATE INDEX actor_events_actor ON actor_events (actor_kind, actor_id, version)`,

  // The netns provider: address management and placement; the links themselves live in the kernel.
  `CREATE TABLE netns_networks (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, bridge text NOT NULL UNIQUE, mtu integer NOT NULL DEFAULT 1500,
    vnic_types text[] NOT NULL, physical_function text, vlan integer,
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE netns_subnets (
    id uuid PRIMARY KEY, network_id uuid NOT NULL REFERENCES netns_networks (id) ON DELETE CASCADE,
    cidr cidr NOT NULL, gateway_ip text, host_routes jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE netns_ports (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, network_id uuid NOT NULL REFERENCES netns_networks (id),
    mac_address text NOT NULL UNIQUE, ${vnicType('vnic_type')}, admin_state_up boolean NOT NULL,
    device_id text, allowed_addresses text[] NOT NULL DEFAULT '{}', attached_to text, vf text,
    created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE UNIQUE INDEX netns_ports_vf ON netns_ports (vf) WHERE vf IS NOT NULL`,
  `CREATE INDEX netns_ports_attached ON netns_ports (attached_to)`,
  `CREATE TABLE netns_addresses (
    subnet_id uuid NOT NULL REFERENCES netns_subnets (id) ON DELETE CASCADE, ip_address inet NOT NULL,
    port_id uuid NOT NULL REFERENCES netns_ports (id) ON DELETE CASCADE, position integer NOT NULL,
    PRIMARY KEY (subnet_id, ip_address))`,
  `CREATE INDEX netns_addresses_port ON netns_addresses (port_id)`,
  `CREATE TABLE netns_servers (
    id uuid PRIMARY KEY, name text NOT NULL UNIQUE, amphora_id uuid NOT NULL, load_balancer_id uuid NOT NULL,
    management_address inet NOT NULL UNIQUE, started boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now())`,
];
