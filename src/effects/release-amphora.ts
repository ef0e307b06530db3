import type { EffectInput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import type { EffectDependencies } from './dependencies.ts';
import { basePortName, memberPortPrefix, serverName } from './names.ts';

/**
 * Delete the server and every port of an amphora, found by their names: what a controller made just before it died is
 * found as well as what it had stored.
 */
export function releaseAmphora({ provider: { compute, network } }: EffectDependencies) {
  return async ({ amphoraId }: EffectInput<'releaseAmphora'>, context: EffectContext): Promise<null> => {
    for (const server of await compute.list({ name: serverName(amphoraId) }, context)) {
      await compute.delete(server.id, context);
    }
    for (const namePrefix of [basePortName(amphoraId), memberPortPrefix(amphoraId)]) {
      for (const port of await network.listPorts({ namePrefix }, context)) {
        await network.deletePort(port.id, context);
      }
    }
    return null;
  };
}
