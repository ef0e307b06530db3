import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import type { AvailabilityZoneData, FlavorData } from '../../model/graph.ts';
import type { VnicType } from '../../model/status.ts';
import { findZoneWithProfile } from '../../store/availability-zones.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../../store/database-errors.ts';
import { findFlavorWithProfile } from '../../store/flavors.ts';
import { insertTree, type StoredTree } from '../../store/load-balancer-tree.ts';
import {
  hasChildren,
  isVipPort,
  type LoadBalancer,
  loadBalancerAttributes,
  selectLoadBalancers,
  updateLoadBalancer,
} from '../../store/load-balancers.ts';
import { parseAvailabilityZoneData, parseFlavorData } from '../../store/profile-data.ts';
import { type Api, networkSeenBy } from '../api.ts';
import { readBody } from '../body.ts';
import {
  addressOf,
  changeLoadBalancer,
  deleteLoadBalancer,
  invalidState,
  toCreate,
  toUpdate,
} from '../change.ts';
import { failOverLoadBalancer } from '../failover.ts';
import { badRequest, conflict, Fault, invalidInput } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { healthMonitorLimits, listenerLimits } from '../limits.ts';
import { queryFlag } from '../list.ts';
import { findMemberNetworks, VnicTypes } from '../member-placement.ts';
import { presentCommon } from '../present.ts';
import { checkReferences, referencesOfFlavor, referencesOfZone } from '../profile-references.ts';
import { checkQuota } from '../quota.ts';
import { aboutLoadBalancer } from '../request-log.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';
import { LoadBalancerPost, LoadBalancerPut, type NewLoadBalancer } from '../schemas/load-balancer.ts';
import { checkSecrets, referencesOfListener, referencesOfPool } from '../secrets.ts';
import { answerStats } from '../stats.ts';
import { planVip, type Vip, withVip } from '../vip.ts';
import { checkGroupsFitListeners, checkGroupsFitVip, checkVipOptions } from '../vip-options.ts';
import { collectPools, growTree, growthOf } from './load-balancer-tree.ts';
import { viewStatuses, viewTree } from './load-balancer-view.ts';

export const loadBalancers: OctaviaResource<'load_balancers', LoadBalancer> = {
  title: 'Load Balancer',
  path: '/lbaas/loadbalancers',
  policy: 'loadbalancer',
  bodies: { post: LoadBalancerPost, put: LoadBalancerPut },
  root: 'loadbalancer',
  plural: 'loadbalancers',
  select: selectLoadBalancers,
  attributes: loadBalancerAttributes,
  present: presentLoadBalancer,
};

/** `/loadbalancers` (contract A7). */
export function loadBalancerRoutes(api: Api): Hono {
  const routes = new Hono();

  routes.get('/', (context) => answerList(context, api.db, loadBalancers));
  routes.get('/:id', (context) => answerShow(context, api.db, loadBalancers));
  routes.get('/:id/stats', (context) => answerStats(context, api.db, loadBalancers));
  routes.on('GET', ['/:id/status', '/:id/statuses'], async (context) => {
    const row = await findRow(api.db, loadBalancers, pathId(context, 'Load Balancer'));
    return context.json({ statuses: await viewStatuses(api.db, row) });
  });

  routes.put('/:id/failover', async (context) => {
    await failOverLoadBalancer(api, pathId(context, 'Load Balancer'));
    return context.body(null, 202);
  });

  routes.post('/', async (context) => {
    const body = await readBody(context, 'loadbalancer', LoadBalancerPost);
    return context.json({ loadbalancer: await createLoadBalancer(context, api, body) }, 201);
  });

  routes.put('/:id', async (context) => {
    const id = pathId(context, 'Load Balancer');
    const body = await readBody(context, 'loadbalancer', LoadBalancerPut);
    await checkVipOptions(networkSeenBy(context, api), body);
    const row = await changeLoadBalancer(
      api,
      id,
      async ({ transaction, loadBalancer, revision }) => {
        checkGroupsFitVip(body, loadBalancer.vip_vnic_type);
        await checkGroupsFitListeners(transaction, body, id);
        await updateLoadBalancer(transaction, id, {
          ...body,
          ...toUpdate(revision),
        });
        return {
          answer: await findRow(transaction, loadBalancers, id),
          subject: 'loadBalancer',
          memberPorts: body.vip_qos_policy_id !== undefined || body.vip_sg_ids !== undefined,
        };
      },
      { refuse: (status) => invalidState(status, id) },
    );
    return answerOne(context, loadBalancers, row);
  });

  routes.delete('/:id', async (context) => {
    const id = pathId(context, 'Load Balancer');
    const cascade = queryFlag(context, 'cascade');
    await deleteLoadBalancer(api, id, async (transaction) => {
      if (cascade || !(await hasChildren(transaction, id))) return;
      throw badRequest(
        `Cannot delete Load Balancer ${id} - it has children. Delete them first, or with cascade=true.`,
      );
    });
    return context.body(null, 204);
  });

  return routes;
}

/** `POST /loadbalancers`, in the order of contract A7: the first check that fails decides the answer. */
async function createLoadBalancer(context: Context, api: Api, body: NewLoadBalancer) {
  const { config } = api;
  const network = networkSeenBy(context, api);
  const id = newId(context);
  aboutLoadBalancer(id);
  const projectId = body.project_id ?? body.tenant_id ?? context.get('caller').projectId;
  const pools = collectPools(body);
  const plan = await planVip(network, api, body);
  if (plan.port !== null && (await isVipPort(api.db, plan.port.id))) {
    throw invalidInput('vip_port_id', plan.port.id, 'The port is the VIP of another load balancer.');
  }
  await checkVipOptions(network, body);
  const { flavor, provider } = await chooseFlavor(api, body);
  const zone = await chooseZone(api, body.availability_zone);
  // They were there when the profiles were written.
  await checkReferences(api, { ...referencesOfFlavor(flavor), ...referencesOfZone(zone) }, badRequest);
  checkVipNetwork(api, zone, plan.networkId);
  const topology = flavor.loadbalancer_topology ?? config.default_topology;
  const vipVnicType: VnicType = flavor.sriov_vip === true ? 'direct' : 'normal';
  checkGroupsFitVip(body, vipVnicType);
  const networks = await findMemberNetworks(
    network,
    [...pools.values()].flatMap(({ members }) => members),
  );
  await checkSecrets(context, api.secrets, [
    ...body.listeners.map(referencesOfListener),
    ...[...pools.values()].map(referencesOfPool),
  ]);
  const limits = await listenerLimits(api);
  const vnicTypes = new VnicTypes(
    { networkId: plan.networkId, vnicType: vipVnicType },
    flavor.allow_member_sriov === true,
  );

  return withVip(api, { id, projectId, securityGroupIds: body.vip_sg_ids }, plan, async (vip) => {
    const tree = growTree(pools, body.listeners, {
      loadBalancerId: id,
      projectId,
      vipAddresses: [vip.primary, ...vip.additional].map(({ ipAddress }) => ipAddress),
      vipSecurityGroups: body.vip_sg_ids,
      vnicTypes,
      listenerLimits: limits,
      healthMonitorLimits: healthMonitorLimits(api),
      networks,
    });
    const work = api.db.transaction().execute(async (transaction) => {
      await checkQuota(api, transaction, projectId, { load_balancer: 1, ...growthOf(tree) });
      const stored = await insertTree(transaction, {
        ...tree,
        load_balancers: [
          {
            ...loadBalancerValues(body),
            ...vipValues(vip),
            vip_qos_policy_id: body.vip_qos_policy_id ?? plan.port?.qosPolicyId ?? null,
            vip_sg_ids: body.vip_sg_ids,
            id,
            project_id: projectId,
            provider,
            topology,
            vip_vnic_type: vipVnicType,
            ...toCreate(1),
            desired_revision: 1,
          },
        ],
        additional_vips: additionalVipRows(id, vip),
      });
      if (vip.owned && !stored.hadIntent) {
        throw new Fault(503, 'Making the load balancer took too long. Try again.');
      }
      const amphoraIds = Array.from({ length: topology === 'SINGLE' ? 1 : 2 }, () => randomUUID());
      const envelope = await api.mailbox.spawn(transaction, addressOf(id), {
        loadBalancerId: id,
        topology,
        amphoraIds,
      });
      return { answer: presentNew(stored), envelope };
    });
    const { answer, envelope } = await work.catch(refusingGoneReferences);
    api.mailbox.publish(envelope);
    return answer;
  });
}

/** The flavor and the zone were there a moment ago, but nothing holds them until the row refers to them. */
function refusingGoneReferences(error: unknown): never {
  if (isForeignKeyViolation(error))
    throw conflict('The flavor or the availability zone was deleted meanwhile.');
  // Its id is not new where a request is repeated of which nobody knows what became.
  if (isUniqueViolation(error)) throw conflict('The load balancer has been made before.');
  throw error;
}

/** The flavor's options and the provider that it, or the request, names. */
async function chooseFlavor(
  api: Api,
  body: NewLoadBalancer,
): Promise<{ flavor: FlavorData; provider: string }> {
  const enabled = api.config.enabled_providers;
  const row = body.flavor_id === null ? undefined : await findFlavorWithProfile(api.db, body.flavor_id);
  if (body.flavor_id !== null) {
    if (row === undefined) throw badRequest(`Flavor ${body.flavor_id} not found.`);
    if (!row.enabled) throw invalidInput('flavor_id', body.flavor_id, 'The flavor is disabled.');
  }
  const given = body.provider || undefined;
  if (row !== undefined && given !== undefined && given !== row.provider_name) {
    throw invalidInput('provider', given, `Flavor ${row.id} is for provider ${row.provider_name}.`);
  }
  const provider = given ?? row?.provider_name ?? enabled[0] ?? 'amphora';
  if (!enabled.includes(provider))
    throw invalidInput('provider', provider, `Value should be one of: ${enabled.join(', ')}`);
  return { flavor: row === undefined ? {} : parseFlavorData(row.flavor_data), provider };
}

/** What the profile of a zone says. */
async function chooseZone(api: Api, name: string | null): Promise<AvailabilityZoneData> {
  if (name === null) return {};
  const zone = await findZoneWithProfile(api.db, name);
  if (zone === undefined) throw badRequest(`Availability Zone ${name} not found.`);
  if (!zone.enabled) throw invalidInput('availability_zone', name, 'The availability zone is disabled.');
  return parseAvailabilityZoneData(zone.availability_zone_data);
}

/** The networks of a zone replace those that are allowed otherwise; none means all. */
function checkVipNetwork({ config }: Api, zone: AvailabilityZoneData, networkId: string): void {
  const allowed = zone.valid_vip_networks ?? config.valid_vip_networks;
  const refused = allowed.length > 0 && !allowed.includes(networkId);
  if (refused || config.denied_vip_networks.includes(networkId))
    throw badRequest(`Network ${networkId} is not allowed for VIPs.`);
}

function loadBalancerValues(body: NewLoadBalancer) {
  const { name, description, admin_state_up, tags, flavor_id, availability_zone } = body;
  return { name, description, admin_state_up, tags, flavor_id, availability_zone };
}

function vipValues(vip: Vip) {
  return {
    vip_address: vip.primary.ipAddress,
    vip_subnet_id: vip.primary.subnetId,
    vip_network_id: vip.networkId,
    vip_port_id: vip.portId,
    vip_port_owned: vip.owned,
  };
}

function additionalVipRows(loadBalancerId: string, vip: Vip) {
  return vip.additional.map(({ subnetId, ipAddress }, position) => ({
    load_balancer_id: loadBalancerId,
    position,
    subnet_id: subnetId,
    network_id: vip.networkId,
    ip_address: ipAddress,
    port_id: vip.portId,
  }));
}

/** A new load balancer with all that is below it. */
function presentNew(tree: StoredTree) {
  const [row] = tree.load_balancers;
  const below = viewTree(tree);
  const additionalVips = tree.additional_vips.map(({ subnet_id, ip_address, port_id }) => ({
    ...{ subnet_id, ip_address, port_id },
  }));
  return { ...presentLoadBalancer({ ...row, ...below, additional_vips: additionalVips }), ...below };
}

export function presentLoadBalancer(row: LoadBalancer) {
  return {
    ...presentCommon(row),
    description: row.description,
    provider: row.provider,
    flavor_id: row.flavor_id,
    availability_zone: row.availability_zone,
    vip_address: row.vip_address,
    vip_subnet_id: row.vip_subnet_id,
    vip_network_id: row.vip_network_id,
    vip_port_id: row.vip_port_id,
    vip_qos_policy_id: row.vip_qos_policy_id,
    vip_vnic_type: row.vip_vnic_type,
    vip_sg_ids: row.vip_sg_ids,
    additional_vips: row.additional_vips,
    listeners: row.listeners,
    pools: row.pools,
  };
}
