import type { Logger } from 'pino';
import type { AgentClient } from '../../amphora-api/client.ts';
import { TransientError } from '../../model/errors.ts';
import { createOpenstackProvider, type OpenstackOptions } from '../../providers/openstack/provider.ts';
import { openServices } from '../../providers/openstack/services.ts';
import type { Provider } from '../../providers/provider.ts';
import { type Cloud, checkAccount, checkParts, requireExtensions } from '../doctor/cloud.ts';

/** A start does not wait longer for a cloud that is slow. */
const DEADLINE_MS = 15_000;

/**
 * The openstack provider, with its session open: what the first load balancer would find out, or wait for (the login, the
 * catalog, connections), is done before. A cloud that is away may come back.
 * @throws TerminalError for an account or a Neutron with which nothing can work
 */
export async function openCloud(parts: {
  options: OpenstackOptions;
  agent: AgentClient;
  log: Logger;
}): Promise<Provider> {
  const { options, agent, log } = parts;
  const services = openServices(options);
  try {
    await examine({ ...services, options, call: { signal: AbortSignal.timeout(DEADLINE_MS) } }, log);
  } catch (error) {
    if (!(error instanceof TransientError)) {
      await services.close();
      throw error;
    }
    log.warn({ err: error }, 'starting without the cloud');
  }
  return createOpenstackProvider({ options, agent, services });
}

async function examine(cloud: Cloud, log: Logger): Promise<void> {
  await requireExtensions(cloud);
  const findings = [await checkAccount(cloud), ...(await checkParts(cloud))];
  for (const { name, level, detail, fix } of findings) {
    if (level !== 'ok') log.warn({ detail, fix }, `the cloud is not ready: ${name}`);
  }
}
