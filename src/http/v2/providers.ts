import { type Context, Hono } from 'hono';
import { availabilityZoneCapabilities, flavorCapabilities } from '../../store/profile-data.ts';
import type { Api } from '../api.ts';
import { badRequest } from '../fault.ts';
import { selectFields } from '../list.ts';

const DESCRIPTION = 'The Octavia Amphora driver.';
const DESCRIPTIONS = new Map([['octavia', 'Deprecated alias of the Octavia Amphora driver.']]);

/** `/providers` (contract A16). All of them are this one under different names. */
export function providerRoutes({ config }: Api): Hono {
  const routes = new Hono();
  const providers = config.enabled_providers.map((name) => ({
    name,
    description: DESCRIPTIONS.get(name) ?? DESCRIPTION,
  }));

  const capabilities = (context: Context, root: string, list: { name: string; description: string }[]) => {
    const provider = context.req.param('provider') ?? '';
    if (!config.enabled_providers.includes(provider))
      throw badRequest(`Provider '${provider}' is not enabled.`);
    return answer(context, root, list);
  };

  routes.get('/', (context) => answer(context, 'providers', providers));
  routes.get('/:provider/flavor_capabilities', (context) =>
    capabilities(context, 'flavor_capabilities', flavorCapabilities),
  );
  routes.get('/:provider/availability_zone_capabilities', (context) =>
    capabilities(context, 'availability_zone_capabilities', availabilityZoneCapabilities),
  );

  return routes;
}

/** These lists are short and constant: no paging, only filters and `fields`. */
function answer(context: Context, root: string, list: { name: string; description: string }[]): Response {
  const { name, description } = context.req.query();
  const unknown = Object.keys(context.req.query()).find(
    (key) => !['name', 'description', 'fields'].includes(key),
  );
  if (unknown !== undefined) throw badRequest(`Unknown query parameter ${unknown}.`);
  return context.json({
    [root]: list
      .filter((item) => name === undefined || item.name === name)
      .filter((item) => description === undefined || item.description === description)
      .map((item) => selectFields(context, item)),
  });
}
