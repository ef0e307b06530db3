import { Hono } from 'hono';
import { serveApi } from '../../src/http/server.ts';
import { lookupRoutes } from '../../src/http/v2/lookups.ts';
import { createNoopProvider } from '../../src/providers/noop/provider.ts';
import { accountSettings, startKeystone } from './keystone.ts';
import { type SystemOptions, startSystem } from './system.ts';

/** A real Keystone, and a system with the noop provider that its catalog names. End it with `stop`. */
export async function startKeystoneSystem(settings: SystemOptions['settings'] = {}) {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const keystone = await startKeystone();
    stops.push(() => keystone.stop());
    const system = await startSystem({
      provider: 'noop',
      settings: { auth: 'keystone', ...accountSettings(keystone.url), ...settings },
    });
    stops.push(() => system.stop());
    // Stands in for Neutron, which clients ask for the ids of subnets.
    const neutron = await serveApi(
      new Hono().route('/v2.0', lookupRoutes({ network: createNoopProvider().network })),
      '127.0.0.1:0',
    );
    stops.push(() => neutron.close());
    await keystone.register('network', neutron.url);
    await keystone.register('load-balancer', system.url);
    return { keystone, system, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
