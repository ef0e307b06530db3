import { setImmediate as othersFirst } from 'node:timers/promises';
import { IpAddress } from '../../src/amphora-api/address.ts';
import { InterfaceRuleList } from '../../src/amphora-api/interface-rules.ts';
import { DropLogRequest, SecurityGroup } from '../../src/amphora-api/security-group.ts';
import type { Route } from '../app.ts';
import { AgentError, parseRequest } from '../errors.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import type { Namespace } from '../namespace.ts';
import type { Firewall } from '../nftables/firewall.ts';
import { OK, readJson } from './body.ts';

/** The firewall: as a whole, as an Octavia controller sets it (contract D5), and what it has seen. */
export function securityGroupRoutes(
  firewall: Firewall,
  interfaces: Interfaces,
  namespace: Pick<Namespace, 'speak'>,
): Route[] {
  /**
   * Once there are rules, the amphora may show itself. Only then: an announcement costs our own memory of the neighbours,
   * and the packets that wait for an answer to where a neighbour is.
   */
  const appear = async () => {
    if (await namespace.speak()) await interfaces.announce();
  };
  return [
    [
      'POST',
      '/1.0/security-group',
      async (context) => {
        const body = await readJson(context);
        // 10,000 rules take a while to read, to check and to write for nft: others are answered between.
        await othersFirst();
        const group = parseRequest(SecurityGroup, body);
        await othersFirst();
        await Promise.all([interfaces.forgetVanished(), firewall.set(group)]);
        await appear();
        return context.json(OK);
      },
    ],
    ['GET', '/1.0/security-group', (context) => context.json(firewall.status())],
    ['GET', '/1.0/security-group/counters', async (context) => context.json(await firewall.counters())],
    [
      'POST',
      '/1.0/security-group/drop-log',
      async (context) => {
        await firewall.logDrops(parseRequest(DropLogRequest, await readJson(context)));
        return context.json(OK);
      },
    ],
    ['GET', '/1.0/security-group/drop-log', (context) => context.json(firewall.dropLog())],
    [
      'PUT',
      '/1.0/interface/:ip/rules',
      async (context) => {
        const ip = parseRequest(IpAddress, context.req.param('ip'), 'ip');
        const rules = parseRequest(InterfaceRuleList, await readJson(context));
        await interfaces.forgetVanished();
        if (!(await interfaces.nameOf(ip))) throw new AgentError(404, `No interface has the address ${ip}`);
        await firewall.setInterfaceRules(ip, rules);
        await appear();
        return context.json(OK);
      },
    ],
  ];
}
