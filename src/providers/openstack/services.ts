import { Agent } from 'undici';
import type { ServiceAccount } from '../../keystone/account.ts';
import type { Facing } from '../../keystone/catalog.ts';
import { Service, type ServiceCall } from '../../keystone/service.ts';
import { KeystoneSession } from '../../keystone/session.ts';

/** User data of any length we need, tags at creation, and server groups with one policy: Nova since Queens. */
export const COMPUTE_API = { major: 2, minor: 60 };

export interface CloudOptions {
  account: ServiceAccount;
  facing: Facing;
  /** Told of every call to a service. */
  onCall?: ((call: ServiceCall) => void) | undefined;
}

/** The services of a cloud, behind one login and one set of connections. */
export interface Services {
  session: KeystoneSession;
  neutron: Service;
  nova: Service;
  glance: Service;
  placement: Service;
  close(): Promise<void>;
}

/** Connections kept to each service; Nova and Neutron serve few requests at once. */
const CONNECTIONS = 16;
const CONNECT_MS = 10_000;
/** Nova plugs a port before it answers, and its own limit is 60 s. */
const ANSWER_MS = 120_000;

export function openServices({ account, facing, onCall }: CloudOptions): Services {
  const dispatcher = new Agent({
    connections: CONNECTIONS,
    headersTimeout: ANSWER_MS,
    bodyTimeout: ANSWER_MS,
    connect: { timeout: CONNECT_MS, ...(account.ca && { ca: account.ca }) },
  });
  const session = new KeystoneSession(account, dispatcher);
  const common = { session, facing, dispatcher, onCall };
  return {
    session,
    neutron: new Service({ ...common, name: 'neutron', types: ['network'], base: '/v2.0' }),
    nova: new Service({
      ...common,
      name: 'nova',
      types: ['compute'],
      headers: { 'openstack-api-version': `compute ${COMPUTE_API.major}.${COMPUTE_API.minor}` },
    }),
    glance: new Service({ ...common, name: 'glance', types: ['image'], base: '/v2' }),
    placement: new Service({
      ...common,
      name: 'placement',
      types: ['placement'],
      headers: { 'openstack-api-version': 'placement 1.20' },
    }),
    close: () => dispatcher.close(),
  };
}
