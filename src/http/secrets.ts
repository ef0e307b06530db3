import type { Context } from 'hono';
import { AmphoraeError } from '../model/errors.ts';
import { aboutSecret } from '../secrets/about.ts';
import { authorities, revocationList } from '../secrets/pem.ts';
import type { SecretStore } from '../secrets/secret-store.ts';
import { badRequest, Fault } from './fault.ts';

/** What one object refers to. */
interface References {
  certificates: (string | null)[];
  authority: string | null;
  revocationList: string | null;
}

/** The attributes of listeners that refer to secrets. */
interface ListenerReferences {
  default_tls_container_ref: string | null;
  sni_container_refs: string[];
  client_ca_tls_container_ref: string | null;
  client_crl_container_ref: string | null;
}

/** The attributes of pools that refer to secrets. */
interface PoolReferences {
  tls_container_ref: string | null;
  ca_tls_container_ref: string | null;
  crl_container_ref: string | null;
}

export const referencesOfListener = (listener: ListenerReferences): References => ({
  certificates: [listener.default_tls_container_ref, ...listener.sni_container_refs],
  authority: listener.client_ca_tls_container_ref,
  revocationList: listener.client_crl_container_ref,
});

export const referencesOfPool = (pool: PoolReferences): References => ({
  certificates: [pool.tls_container_ref],
  authority: pool.ca_tls_container_ref,
  revocationList: pool.crl_container_ref,
});

/**
 * Read what objects refer to, each secret once, where the caller lets us (contract F5): what cannot be used now would not be used by a push either.
 * @throws Fault 400 for a secret that is missing or not what it should be, 503 when the store cannot be asked
 */
export async function checkSecrets(
  context: Context,
  store: SecretStore | undefined,
  users: References[],
): Promise<void> {
  const certificates = new Set(users.flatMap((user) => user.certificates).filter((ref) => ref !== null));
  const issuers = new Set(users.map(({ authority }) => authority).filter((ref) => ref !== null));
  const lists = users.filter((user) => user.revocationList !== null);
  if (certificates.size + issuers.size + lists.length === 0) return;
  if (store === undefined) throw badRequest('There is no store of secrets to refer to.');
  const token = context.req.header('x-auth-token');
  try {
    if (token !== undefined && store.admitUs) {
      const refs = new Set([
        ...certificates,
        ...issuers,
        ...lists.flatMap((user) => user.revocationList ?? []),
      ]);
      await Promise.all([...refs].map((ref) => store.admitUs?.(ref, token)));
    }
    await Promise.all([
      ...[...certificates].map((ref) => store.certificate(ref)),
      ...[...issuers].map((ref) => checkAuthority(store, ref)),
      ...lists.map((user) => checkRevocationList(store, user)),
    ]);
  } catch (error) {
    if (!(error instanceof AmphoraeError)) throw error;
    throw error.kind === 'transient' ? new Fault(503, error.message) : badRequest(error.message);
  }
}

async function checkAuthority(store: SecretStore, ref: string): Promise<void> {
  const pem = await store.pem(ref);
  await aboutSecret(ref, async () => authorities(pem));
}

async function checkRevocationList(store: SecretStore, { authority, revocationList: ref }: References) {
  if (ref === null || authority === null) return;
  const [list, issuer] = await Promise.all([store.pem(ref), store.pem(authority)]);
  await aboutSecret(ref, () => revocationList(list, issuer));
}
