import { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import type { Route } from '../app.ts';
import { parseRequest } from '../errors.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import type { Namespace } from '../namespace.ts';
import type { Firewall } from '../nftables/firewall.ts';
import { OK, readJson } from './body.ts';

/** The firewall as a whole. */
export function securityGroupRoutes(
  firewall: Firewall,
  interfaces: Interfaces,
  namespace: Pick<Namespace, 'speak'>,
): Route[] {
  return [
    [
      'POST',
      '/1.0/security-group',
      async (context) => {
        const group = parseRequest(SecurityGroup, await readJson(context));
        await interfaces.forgetVanished();
        await firewall.set(group);
        await namespace.speak();
        await interfaces.announce();
        return context.json(OK);
      },
    ],
    ['GET', '/1.0/security-group', (context) => context.json(firewall.status())],
  ];
}
