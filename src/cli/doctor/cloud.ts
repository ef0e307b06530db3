import * as z from 'zod';
import { segment } from '../../keystone/service.ts';
import { TerminalError } from '../../model/errors.ts';
import type { Call } from '../../providers/call.ts';
import { OpenstackImages } from '../../providers/openstack/glance.ts';
import { OpenstackNetwork } from '../../providers/openstack/neutron.ts';
import type { OpenstackOptions } from '../../providers/openstack/provider.ts';
import { COMPUTE_API, type Services } from '../../providers/openstack/services.ts';
import { type Finding, fail, ok, warn } from './check.ts';
import { checkVirtualFunctions } from './virtual-functions.ts';

export interface Cloud extends Services {
  options: OpenstackOptions;
  call: Call;
}

/** A cloud: our account, its services, and what amphorae are made of. Only reads. */
export async function checkCloud(cloud: Cloud): Promise<Finding[]> {
  const account = await tried('keystone', () => checkAccount(cloud));
  if (account.level === 'fail') return [account];
  const [extensions, parts] = await Promise.all([
    tried('neutron', () => checkExtensions(cloud)),
    checkParts(cloud),
  ]);
  return [account, extensions, ...parts];
}

/** What is left to look at where the account and Neutron's extensions will do. */
export async function checkParts(cloud: Cloud): Promise<Finding[]> {
  const parts: [string, (cloud: Cloud) => Promise<Finding>][] = [
    ['management network', checkManagementNetworks],
    ['virtual functions', checkVirtualFunctions],
    ['nova', checkCompute],
    ['compute flavor', checkComputeFlavor],
    ['image', checkImage],
  ];
  return Promise.all(parts.map(([name, check]) => tried(name, () => check(cloud))));
}

async function tried(name: string, check: () => Promise<Finding>): Promise<Finding> {
  try {
    return await check();
  } catch (error) {
    return fail(
      name,
      (error as Error).message,
      'check the service, its endpoint in the catalog, and our account',
    );
  }
}

/** The roles that we have. @throws as `KeystoneSession.token` does */
export async function checkAccount({ session, options }: Cloud): Promise<Finding> {
  const { roles } = await session.token();
  const detail = `${options.account.authUrl}, roles ${roles.join(', ') || 'none'}`;
  if (roles.includes('admin')) return ok('keystone', detail);
  return warn(
    'keystone',
    detail,
    'ports of VIPs are made in the projects of users, for which Neutron asks for the role admin: openstack role add --user USER --project PROJECT admin',
  );
}

async function checkExtensions(cloud: Cloud): Promise<Finding> {
  const needed = await requireExtensions(cloud);
  return ok('neutron', needed.join(', '));
}

/**
 * What amphorae cannot be without.
 * @throws TerminalError `neutron_extensions`
 */
export async function requireExtensions({ neutron, call }: Cloud): Promise<string[]> {
  const order = { method: 'GET', path: '/extensions', purpose: 'list extensions' } as const;
  const schema = z.object({ extensions: z.array(z.object({ alias: z.string() })) });
  const known = (await neutron.send(call, order, schema)).extensions.map(({ alias }) => alias);
  const needed = ['allowed-address-pairs', 'security-group', 'binding'];
  const missing = needed.filter((alias) => !known.includes(alias));
  if (missing.length === 0) return needed;
  const message = `neutron lacks the extensions ${missing.join(', ')}; enable them in ML2`;
  throw new TerminalError('neutron_extensions', message);
}

async function checkManagementNetworks({ neutron, options, call }: Cloud): Promise<Finding> {
  const name = 'management network';
  const network = new OpenstackNetwork(neutron);
  const found = await Promise.all(options.managementNetworks.map((id) => network.getNetwork(id, call)));
  const missing = options.managementNetworks.filter((_, index) => !found[index]?.subnetIds.length);
  if (missing.length === 0) return ok(name, found.map((network) => network?.name).join(', '));
  return fail(name, `no network with a subnet of id ${missing.join(', ')}`, 'openstack network list');
}

async function checkCompute({ nova, call }: Cloud): Promise<Finding> {
  const order = { method: 'GET', path: '/', purpose: 'read the API version' } as const;
  const { version } = await nova.send(call, order, z.object({ version: z.object({ version: z.string() }) }));
  const [major = 0, minor = 0] = version.version.split('.').map(Number);
  const wanted = `${COMPUTE_API.major}.${COMPUTE_API.minor}`;
  if (major === COMPUTE_API.major && minor >= COMPUTE_API.minor) {
    return ok('nova', `API ${version.version}`);
  }
  return fail('nova', `API ${version.version}; ${wanted} is needed`, 'use Nova of Queens or newer');
}

async function checkComputeFlavor({ nova, options, call }: Cloud): Promise<Finding> {
  const name = 'compute flavor';
  const id = options.computeFlavor;
  const order = { method: 'GET', path: `/flavors/${segment(id)}`, purpose: `read flavor ${id}` } as const;
  const Flavor = z.object({ name: z.string(), ram: z.number(), disk: z.number(), vcpus: z.number() });
  const found = (await nova.find(call, order, z.object({ flavor: Flavor })))?.flavor;
  if (found) return ok(name, `${found.name}: ${found.vcpus} CPUs, ${found.ram} MiB, ${found.disk} GB`);
  return fail(
    name,
    `no flavor of id ${id}`,
    'openstack flavor create --private ...; set openstack_compute_flavor',
  );
}

async function checkImage({ glance, options, call }: Cloud): Promise<Finding> {
  try {
    const id = await new OpenstackImages(glance, options.imageOwner).newest(options.imageTag, call);
    return ok('image', `${id}, tagged ${options.imageTag}`);
  } catch (error) {
    return fail(
      'image',
      (error as Error).message,
      `openstack image create --file IMAGE --disk-format qcow2 --tag ${options.imageTag} amphora`,
    );
  }
}
