import type { ExpressionBuilder } from 'kysely';
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres';
import type {
  AvailabilityZoneData,
  FlavorData,
  LoadBalancerGraph,
  LoadBalancerTrunk,
} from '../model/graph.ts';
import type { Queryable } from './database.ts';
import { anyOf } from './list.ts';
import type { Database } from './schema.ts';
import { sharedLookup } from './shared-lookup.ts';

type LoadBalancers = ExpressionBuilder<Database, 'load_balancers'>;
type Listeners = ExpressionBuilder<Database, 'listeners'>;

/**
 * A load balancer with everything below it in one statement, and so as of one instant; undefined when there is none of
 * that id or it is DELETED. `revision` is the desired revision of that instant.
 */
export async function loadGraph(
  db: Queryable,
  loadBalancerId: string,
): Promise<LoadBalancerGraph | undefined> {
  const row = await findGraph(db, loadBalancerId);
  return row && (toTrunk(row) as LoadBalancerGraph);
}

/** The load balancer without what takes most of the time to read: its listeners and pools. */
export async function loadTrunk(
  db: Queryable,
  loadBalancerId: string,
): Promise<LoadBalancerTrunk | undefined> {
  const row = await findTrunk(db, loadBalancerId);
  return row && toTrunk(row);
}

/** Whatever the row has besides stays in it. */
function toTrunk(row: NonNullable<Awaited<ReturnType<typeof findTrunk>>>): LoadBalancerTrunk {
  const {
    vip_address,
    vip_subnet_id,
    vip_network_id,
    vip_port_id,
    flavor_data,
    availability_zone_data,
    ...rest
  } = row;
  return {
    ...rest,
    vip: {
      address: vip_address ?? '',
      subnetId: vip_subnet_id,
      networkId: vip_network_id,
      portId: vip_port_id,
    },
    additionalVips: rest.additionalVips.map((vip) => ({ ...vip, address: vip.address ?? '' })),
    flavor: flavor_data ? (JSON.parse(flavor_data) as FlavorData) : {},
    availabilityZone: availability_zone_data
      ? (JSON.parse(availability_zone_data) as AvailabilityZoneData)
      : {},
  } as LoadBalancerTrunk;
}

const findGraph = sharedLookup((db, ids) =>
  selectTrunks(db, ids).select((eb) => [listeners(eb).as('listeners'), pools(eb).as('pools')]),
);

const findTrunk = sharedLookup(selectTrunks);

function selectTrunks(db: Queryable, ids: string[]) {
  return db
    .selectFrom('load_balancers')
    .where('id', '=', anyOf(ids))
    .where('provisioning_status', '<>', 'DELETED')
    .select((eb) => [
      'id',
      'project_id as projectId',
      'name',
      'admin_state_up as adminStateUp',
      'provisioning_status as provisioningStatus',
      'topology',
      'vip_vnic_type as vipVnicType',
      'vip_port_owned as vipPortOwned',
      'vip_sg_ids as vipSecurityGroupIds',
      'vip_qos_policy_id as vipQosPolicyId',
      'desired_revision as revision',
      'vip_address',
      'vip_subnet_id',
      'vip_network_id',
      'vip_port_id',
      flavorData(eb).as('flavor_data'),
      zoneData(eb).as('availability_zone_data'),
      additionalVips(eb).as('additionalVips'),
      amphorae(eb).as('amphorae'),
    ]);
}

const flavorData = (eb: LoadBalancers) =>
  eb
    .selectFrom('flavors')
    .innerJoin('flavor_profiles', 'flavor_profiles.id', 'flavors.flavor_profile_id')
    .whereRef('flavors.id', '=', 'load_balancers.flavor_id')
    .select('flavor_profiles.flavor_data');

const zoneData = (eb: LoadBalancers) =>
  eb
    .selectFrom('availability_zones as zone')
    .innerJoin('availability_zone_profiles as profile', 'profile.id', 'zone.availability_zone_profile_id')
    .whereRef('zone.name', '=', 'load_balancers.availability_zone')
    .select('profile.availability_zone_data');

const additionalVips = (eb: LoadBalancers) =>
  jsonArrayFrom(
    eb
      .selectFrom('additional_vips')
      .whereRef('load_balancer_id', '=', 'load_balancers.id')
      .select([
        'ip_address as address',
        'subnet_id as subnetId',
        'network_id as networkId',
        'port_id as portId',
      ])
      .orderBy('position'),
  );

const amphorae = (eb: LoadBalancers) =>
  jsonArrayFrom(
    eb
      .selectFrom('amphorae')
      .whereRef('load_balancer_id', '=', 'load_balancers.id')
      .select((amphora) => [
        'id',
        'status',
        'role',
        'compute_id as computeId',
        'lb_network_ip as managementAddress',
        'vrrp_ip as vrrpIp',
        'vrrp_priority as vrrpPriority',
        jsonArrayFrom(
          amphora
            .selectFrom('amphora_ports')
            .whereRef('amphora_id', '=', 'amphorae.id')
            .select([
              'port_id as portId',
              'role',
              'network_id as networkId',
              'vnic_type as vnicType',
              'mac_address as macAddress',
              'fixed_ips as fixedIps',
              'mtu',
            ])
            .orderBy('port_id'),
        ).as('ports'),
      ])
      .orderBy('created_at')
      .orderBy('id'),
  );

const listeners = (eb: LoadBalancers) =>
  jsonArrayFrom(
    eb
      .selectFrom('listeners')
      .whereRef('load_balancer_id', '=', 'load_balancers.id')
      .select((listener) => [
        'id',
        'name',
        'protocol',
        'protocol_port as protocolPort',
        'admin_state_up as adminStateUp',
        'connection_limit as connectionLimit',
        'default_pool_id as defaultPoolId',
        'allowed_cidrs as allowedCidrs',
        'insert_headers as insertHeaders',
        'timeout_client_data as timeoutClientData',
        'timeout_member_connect as timeoutMemberConnect',
        'timeout_member_data as timeoutMemberData',
        'timeout_tcp_inspect as timeoutTcpInspect',
        'default_tls_container_ref as defaultTlsContainerRef',
        'sni_container_refs as sniContainerRefs',
        'client_ca_tls_container_ref as clientCaTlsContainerRef',
        'client_crl_container_ref as clientCrlContainerRef',
        'client_authentication as clientAuthentication',
        'tls_ciphers as tlsCiphers',
        'tls_versions as tlsVersions',
        'alpn_protocols as alpnProtocols',
        'hsts_max_age as hstsMaxAge',
        'hsts_include_subdomains as hstsIncludeSubdomains',
        'hsts_preload as hstsPreload',
        l7policies(listener).as('l7policies'),
        'provisioning_status as provisioningStatus',
        'withheld',
      ])
      .orderBy('created_at')
      .orderBy('id'),
  );

const l7policies = (eb: Listeners) =>
  jsonArrayFrom(
    eb
      .selectFrom('l7policies')
      .whereRef('listener_id', '=', 'listeners.id')
      .select((policy) => [
        'id',
        'name',
        'action',
        'position',
        'redirect_pool_id as redirectPoolId',
        'redirect_url as redirectUrl',
        'redirect_prefix as redirectPrefix',
        'redirect_http_code as redirectHttpCode',
        'admin_state_up as adminStateUp',
        'provisioning_status as provisioningStatus',
        'withheld',
        jsonArrayFrom(
          policy
            .selectFrom('l7rules')
            .whereRef('l7policy_id', '=', 'l7policies.id')
            .select([
              'id',
              'type',
              'compare_type as compareType',
              'key',
              'value',
              'invert',
              'admin_state_up as adminStateUp',
              'provisioning_status as provisioningStatus',
              'withheld',
            ])
            .orderBy('created_at')
            .orderBy('id'),
        ).as('rules'),
      ])
      .orderBy('position'),
  );

const pools = (eb: LoadBalancers) =>
  jsonArrayFrom(
    eb
      .selectFrom('pools')
      .whereRef('load_balancer_id', '=', 'load_balancers.id')
      .select((pool) => [
        'id',
        'name',
        'protocol',
        'lb_algorithm as lbAlgorithm',
        'session_persistence as sessionPersistence',
        'tls_enabled as tlsEnabled',
        'tls_container_ref as tlsContainerRef',
        'ca_tls_container_ref as caTlsContainerRef',
        'crl_container_ref as crlContainerRef',
        'tls_ciphers as tlsCiphers',
        'tls_versions as tlsVersions',
        'alpn_protocols as alpnProtocols',
        'admin_state_up as adminStateUp',
        'provisioning_status as provisioningStatus',
        'withheld',
        jsonArrayFrom(
          pool
            .selectFrom('members')
            .whereRef('pool_id', '=', 'pools.id')
            .select([
              'id',
              'name',
              'address',
              'protocol_port as protocolPort',
              'weight',
              'backup',
              'subnet_id as subnetId',
              'vnic_type as vnicType',
              'monitor_address as monitorAddress',
              'monitor_port as monitorPort',
              'admin_state_up as adminStateUp',
              'operating_status as operatingStatus',
              'provisioning_status as provisioningStatus',
              'withheld',
            ])
            .orderBy('created_at')
            .orderBy('id'),
        ).as('members'),
        jsonObjectFrom(
          pool
            .selectFrom('health_monitors')
            .whereRef('pool_id', '=', 'pools.id')
            .select([
              'id',
              'type',
              'delay',
              'timeout',
              'max_retries as maxRetries',
              'max_retries_down as maxRetriesDown',
              'http_method as httpMethod',
              'url_path as urlPath',
              'expected_codes as expectedCodes',
              'http_version as httpVersion',
              'domain_name as domainName',
              'admin_state_up as adminStateUp',
              'provisioning_status as provisioningStatus',
              'withheld',
            ]),
        ).as('healthMonitor'),
      ])
      .orderBy('created_at')
      .orderBy('id'),
  );
