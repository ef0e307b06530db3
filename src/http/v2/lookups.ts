import { type Context, Hono } from 'hono';
import { isUuid } from '../../store/list.ts';
import { type Api, providerCall } from '../api.ts';

/**
 * `/networks`, `/subnets`, `/ports`, `/qos/policies`, `/security-groups`: as much of Neutron as `openstack loadbalancer` asks for to turn a name or an id into
 * an id. Served where there is no Keystone, whose catalogue would say where Neutron is.
 */
export function lookupRoutes({ network, networks }: Pick<Api, 'network' | 'networks'>): Hono {
  const routes = new Hono();
  const byId = <T>(context: Context, find: (id: string) => Promise<T | undefined>) => {
    const id = context.req.query('id');
    return id !== undefined && isUuid(id) ? find(id.toLowerCase()) : undefined;
  };
  /** Networks of that name; of the netns provider only, because only those have names that people gave them. */
  const byName = async (context: Context) => {
    const name = context.req.query('name');
    return name === undefined
      ? []
      : ((await networks?.listNetworks()) ?? []).filter((each) => each.name === name);
  };

  routes.get('/networks', async (context) => {
    const found = await byId(context, (id) => network.getNetwork(id, providerCall()));
    const named = await byName(context);
    return context.json({
      networks: [
        ...(found === undefined ? [] : [{ id: found.id, name: found.name }]),
        ...named.map(({ network_id, name }) => ({ id: network_id, name })),
      ],
    });
  });

  // A subnet is called after its network.
  routes.get('/subnets', async (context) => {
    const found = await byId(context, (id) => network.getSubnet(id, providerCall()));
    const named = await byName(context);
    return context.json({
      subnets: [
        ...(found === undefined ? [] : [{ id: found.id, network_id: found.networkId, cidr: found.cidr }]),
        ...named.flatMap(({ network_id, subnets }) =>
          subnets.map(({ subnet_id, cidr }) => ({ id: subnet_id, network_id, cidr })),
        ),
      ],
    });
  });

  routes.get('/ports', async (context) => {
    const found = await byId(context, (id) => network.getPort(id, providerCall()));
    return context.json({
      ports: found === undefined ? [] : [{ id: found.id, name: found.name, network_id: found.networkId }],
    });
  });

  for (const [path, plural, option] of [
    ['/qos/policies', 'policies', 'QoS Policy'],
    ['/security-groups', 'security_groups', 'Security Group'],
  ] as const) {
    routes.get(path, async (context) => {
      const found = await byId(context, async (id) =>
        (await network.hasPortOption?.(option, id, providerCall())) ? { id } : undefined,
      );
      return context.json({ [plural]: found === undefined ? [] : [found] });
    });
  }

  return routes;
}
