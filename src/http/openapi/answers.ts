import * as z from 'zod';
import {
  AmphoraRole,
  AmphoraStatus,
  OperatingStatus,
  ProvisioningStatus,
  VnicType,
} from '../../model/status.ts';

/** What the API answers with, for its description. A test holds every answer of the API's own tests against it. */
const Id = z.guid();
const Time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
  .describe('UTC, without a zone');
const Text = z.string();
const Whole = z.int();
const References = z.array(z.strictObject({ id: Id }));
const texts = z.array(Text);

const provisioned = {
  id: Id,
  project_id: Text,
  tenant_id: Text,
  admin_state_up: z.boolean(),
  provisioning_status: ProvisioningStatus,
  operating_status: OperatingStatus,
  provisioning_error: z.strictObject({ code: Text, message: Text }).nullable(),
  tags: texts,
  created_at: Time,
  updated_at: Time.nullable(),
};
const named = { ...provisioned, name: Text };
const described = { ...named, description: Text };

const tls = {
  tls_ciphers: Text.nullable(),
  tls_versions: texts.nullable(),
  alpn_protocols: texts.nullable(),
};

const rule = z.strictObject({
  ...provisioned,
  type: Text,
  compare_type: Text,
  key: Text.nullable(),
  value: Text,
  invert: z.boolean(),
});

const l7policy = z.strictObject({
  ...described,
  listener_id: Id,
  action: Text,
  position: Whole,
  redirect_pool_id: Id.nullable(),
  redirect_url: Text.nullable(),
  redirect_prefix: Text.nullable(),
  redirect_http_code: Whole.nullable(),
  rules: References,
});

const healthmonitor = z.strictObject({
  ...named,
  type: Text,
  delay: Whole,
  timeout: Whole,
  max_retries: Whole,
  max_retries_down: Whole,
  http_method: Text.nullable(),
  url_path: Text.nullable(),
  expected_codes: Text.nullable(),
  http_version: z.number().nullable(),
  domain_name: Text.nullable(),
  pools: References,
});

const member = z.strictObject({
  ...named,
  address: Text,
  protocol_port: Whole,
  weight: Whole,
  backup: z.boolean(),
  subnet_id: Id.nullable(),
  vnic_type: VnicType,
  monitor_address: Text.nullable(),
  monitor_port: Whole.nullable(),
});

const pool = z.strictObject({
  ...described,
  protocol: Text,
  lb_algorithm: Text,
  session_persistence: z
    .strictObject({
      type: Text,
      cookie_name: Text.nullable(),
      persistence_timeout: Whole.nullable(),
      persistence_granularity: Text.nullable(),
    })
    .nullable(),
  tls_enabled: z.boolean(),
  tls_container_ref: Text.nullable(),
  ca_tls_container_ref: Text.nullable(),
  crl_container_ref: Text.nullable(),
  ...tls,
  loadbalancers: References,
  listeners: References,
  members: References,
  healthmonitor_id: Id.optional().describe('Absent where there is none'),
});

const listener = z.strictObject({
  ...described,
  protocol: Text,
  protocol_port: Whole,
  connection_limit: Whole,
  default_pool_id: Id.nullable(),
  insert_headers: z.record(Text, Text),
  allowed_cidrs: texts.nullable(),
  timeout_client_data: Whole,
  timeout_member_connect: Whole,
  timeout_member_data: Whole,
  timeout_tcp_inspect: Whole,
  default_tls_container_ref: Text.nullable(),
  sni_container_refs: texts,
  client_ca_tls_container_ref: Text.nullable(),
  client_crl_container_ref: Text.nullable(),
  client_authentication: Text,
  ...tls,
  hsts_max_age: Whole.nullable(),
  hsts_include_subdomains: z.boolean(),
  hsts_preload: z.boolean(),
  loadbalancers: References,
  l7policies: References,
});

const loadbalancer = z.strictObject({
  ...described,
  provider: Text,
  flavor_id: Id.nullable(),
  availability_zone: Text.nullable(),
  vip_address: Text.nullable(),
  vip_subnet_id: Id.nullable(),
  vip_network_id: Id.nullable(),
  vip_port_id: Id.nullable(),
  vip_qos_policy_id: Id.nullable(),
  vip_vnic_type: VnicType,
  vip_sg_ids: z.array(Id),
  additional_vips: z.array(
    z.strictObject({ subnet_id: Id, ip_address: Text.nullable(), port_id: Id.nullable() }),
  ),
  listeners: References,
  pools: References,
});

/** The answer to the POST of a load balancer has what is below it in full. */
const loadbalancerTree = loadbalancer.extend({
  listeners: z.array(listener.extend({ l7policies: z.array(l7policy.extend({ rules: z.array(rule) })) })),
  pools: z.array(pool.extend({ members: z.array(member), healthmonitor: healthmonitor.optional() })),
});

const quota = z.strictObject({
  project_id: Text,
  tenant_id: Text,
  loadbalancer: Whole,
  load_balancer: Whole,
  listener: Whole,
  pool: Whole,
  member: Whole,
  healthmonitor: Whole,
  health_monitor: Whole,
  l7policy: Whole,
  l7rule: Whole,
});

const offer = { name: Text, description: Text, enabled: z.boolean() };
const profile = { id: Id, name: Text, provider_name: Text };

const amphora = z.strictObject({
  id: Id,
  loadbalancer_id: Id,
  compute_id: Text.nullable(),
  lb_network_ip: Text.nullable(),
  vrrp_ip: Text.nullable(),
  ha_ip: Text.nullable(),
  vrrp_port_id: Text.nullable(),
  ha_port_id: Text.nullable(),
  cert_expiration: Time.nullable(),
  cert_busy: z.boolean(),
  role: AmphoraRole,
  status: AmphoraStatus,
  vrrp_interface: Text.nullable(),
  vrrp_id: Whole.nullable(),
  vrrp_priority: Whole.nullable(),
  cached_zone: Text.nullable(),
  image_id: Text.nullable(),
  compute_flavor: Text.nullable(),
  created_at: Time,
  updated_at: Time.nullable(),
});

/** One object, by the root key of its kind. */
export const answers: Record<string, z.ZodObject> = {
  loadbalancer,
  listener,
  pool,
  member,
  healthmonitor,
  l7policy,
  rule,
  quota,
  flavor: z.strictObject({ id: Id, ...offer, flavor_profile_id: Id }),
  flavorprofile: z.strictObject({ ...profile, flavor_data: Text }),
  availability_zone: z.strictObject({ ...offer, availability_zone_profile_id: Id }),
  availability_zone_profile: z.strictObject({ ...profile, availability_zone_data: Text }),
  amphora,
};

/** What a POST answers with where that is more than what a GET does. */
export const answersToPost: Record<string, z.ZodObject> = { loadbalancer: loadbalancerTree };

const traffic = {
  bytes_in: Whole,
  bytes_out: Whole,
  active_connections: Whole,
  total_connections: Whole,
  request_errors: Whole,
};
const status = {
  id: Id,
  name: Text,
  provisioning_status: ProvisioningStatus,
  operating_status: OperatingStatus,
};
const capabilities = z.array(z.strictObject({ name: Text, description: Text }));

/** Answers of their own, by the last part of the path; `amphora` has another one for stats. */
export const specialAnswers: Record<string, z.ZodObject> = {
  stats: z.strictObject({ stats: z.strictObject(traffic) }),
  status: z.strictObject({
    statuses: z.strictObject({
      loadbalancer: z.strictObject({
        ...status,
        listeners: z.array(
          z.strictObject({
            ...status,
            pools: z.array(
              z.strictObject({
                ...status,
                health_monitor: z.strictObject({ ...status, type: Text }).optional(),
                members: z.array(z.strictObject({ ...status, address: Text, protocol_port: Whole })),
              }),
            ),
          }),
        ),
      }),
    }),
  }),
  amphoraStats: z.strictObject({
    amphora_stats: z.array(z.strictObject({ id: Id, loadbalancer_id: Id, listener_id: Id, ...traffic })),
  }),
  providers: z.strictObject({ providers: capabilities }),
  flavor_capabilities: z.strictObject({ flavor_capabilities: capabilities }),
  availability_zone_capabilities: z.strictObject({ availability_zone_capabilities: capabilities }),
};

export const Fault = z.strictObject({
  faultcode: z.enum(['Client', 'Server']),
  faultstring: Text.describe('What is wrong, and where'),
  debuginfo: z.null(),
});

export const Links = z.array(z.strictObject({ rel: z.enum(['next', 'previous']), href: Text }));
