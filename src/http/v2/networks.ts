import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { AmphoraeError, type ErrorKind } from '../../model/errors.ts';
import { VnicType } from '../../model/status.ts';
import type { NetworkAdmin, NetworkDescription } from '../../providers/netns/networks.ts';
import type { Api } from '../api.ts';
import { Cidr, Ip, integer, optional, text } from '../attributes.ts';
import { readBody } from '../body.ts';
import { badRequest, conflict, Fault, invalidInput, notFound, notImplemented } from '../fault.ts';
import { contains } from '../ip.ts';
import { pathId } from '../resource.ts';

const NetworkPost = z.strictObject({
  name: text(255).min(1),
  cidrs: z.array(z.strictObject({ cidr: Cidr, gateway: Ip.nullish() })).min(1),
  vnic_types: z
    .array(VnicType)
    .min(1)
    .nullish()
    .transform((types) => types ?? ['normal' as const]),
  // Interface names have at most 15 characters; a slash would leave the directory that they are looked up in.
  physical_function: optional(z.string().regex(/^[^\s/]{1,15}$/, 'Value should be an interface name')),
  vlan: optional(integer(1, 4094)),
  mtu: optional(integer(1280, 65_535)),
});

/** `/amphorae/networks`: networks for load balancers on this host. Not part of Octavia. */
export function networkRoutes({ networks }: Api): Hono {
  const routes = new Hono();
  const admin = (): NetworkAdmin => {
    if (networks !== undefined) return networks;
    throw notImplemented(
      'This provider has no networks of its own: use those of the cloud, or any UUID with noop.',
    );
  };

  const find = async (context: Context) => {
    const id = pathId(context, 'Network');
    const network = (await classified(admin().listNetworks())).find(({ network_id }) => network_id === id);
    if (network === undefined) throw notFound('Network', id);
    return network;
  };

  routes.get('/', async (context) =>
    context.json({ networks: (await classified(admin().listNetworks())).map(present) }),
  );

  routes.post('/', async (context) => {
    const networks = admin();
    const body = await readBody(context, 'network', NetworkPost);
    for (const { cidr, gateway } of body.cidrs) {
      if (gateway && !contains(cidr, gateway))
        throw invalidInput('gateway', gateway, `It is not in ${cidr}.`);
    }
    const network = await classified(
      networks.createNetwork({
        name: body.name,
        cidrs: body.cidrs,
        vnicTypes: [...new Set(body.vnic_types)],
        physicalFunction: body.physical_function ?? undefined,
        vlan: body.vlan ?? undefined,
        mtu: body.mtu ?? undefined,
      }),
    );
    return context.json(present(network), 201);
  });

  routes.get('/:id', async (context) => context.json(present(await find(context))));

  routes.delete('/:id', async (context) => {
    const { network_id: id } = await find(context);
    await classified(admin().deleteNetwork(id));
    return context.body(null, 204);
  });

  return routes;
}

function present(network: NetworkDescription) {
  return { ...network, subnet_id: network.subnets[0]?.subnet_id ?? null };
}

const faults: Record<ErrorKind, (text: string) => Fault> = {
  placement: conflict,
  transient: (text) => new Fault(503, text),
  terminal: badRequest,
};

/** The operator asked for exactly this: whatever the provider says is the answer. */
async function classified<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof AmphoraeError)) throw error;
    throw error.code.endsWith('in_use') ? conflict(error.message) : faults[error.kind](error.message);
  }
}
