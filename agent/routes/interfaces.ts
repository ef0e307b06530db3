import { IpAddress } from '../../src/amphora-api/address.ts';
import { PlugNetwork, PlugVip } from '../../src/amphora-api/plug.ts';
import type { Route } from '../app.ts';
import { AgentError, parseRequest } from '../errors.ts';
import type { Interfaces } from '../interfaces/interfaces.ts';
import { OK, readJson } from './body.ts';

/** Plugging of ports (contract D4). */
export function interfaceRoutes(interfaces: Interfaces): Route[] {
  return [
    [
      'POST',
      '/1.0/plug/vip/:vip',
      async (context) => {
        const vip = parseRequest(IpAddress, context.req.param('vip'), 'vip');
        await interfaces.plugVip(vip, parseRequest(PlugVip, await readJson(context)));
        return context.json({ ...OK, details: `VIP ${vip} is plugged` }, 202);
      },
    ],
    [
      'POST',
      '/1.0/plug/network',
      async (context) => {
        await interfaces.plugNetwork(parseRequest(PlugNetwork, await readJson(context)));
        return context.json({ ...OK, details: 'the network is plugged' }, 202);
      },
    ],
    [
      'GET',
      '/1.0/interface/:ip',
      async (context) => {
        const ip = parseRequest(IpAddress, context.req.param('ip'), 'ip');
        const name = await interfaces.nameOf(ip);
        if (!name) throw new AgentError(404, `No interface has the address ${ip}`);
        return context.json({ ...OK, interface: name });
      },
    ],
  ];
}
