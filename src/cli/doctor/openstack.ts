import pino from 'pino';
import type { Config } from '../../config.ts';
import type { OpenstackOptions } from '../../providers/openstack/provider.ts';
import { openServices } from '../../providers/openstack/services.ts';
import { openstackOptions } from '../serve/provider.ts';
import { type Finding, fail } from './check.ts';
import { checkCloud } from './cloud.ts';

const DEADLINE_MS = 60_000;

/** The cloud that the configuration names. Only reads. */
export async function checkOpenstack(config: Config): Promise<Finding[]> {
  let options: OpenstackOptions;
  try {
    options = openstackOptions(config, pino({ level: 'silent' }));
  } catch (error) {
    return [
      fail('openstack', (error as Error).message, 'set them in the configuration file or as AMPHORAE_*'),
    ];
  }
  const services = openServices(options);
  try {
    return await checkCloud({ ...services, options, call: { signal: AbortSignal.timeout(DEADLINE_MS) } });
  } finally {
    await services.close();
  }
}
