import { createPrivateKey } from 'node:crypto';
import * as z from 'zod';
import { type Call, Service, type ServiceOptions, segment } from '../keystone/service.ts';
import { AmphoraeError, TerminalError } from '../model/errors.ts';
import { aboutSecret } from './about.ts';
import { malformed, parseCertificateBundle } from './pem.ts';
import { looksLikePkcs12, pkcs12ToPem } from './pkcs12.ts';
import type { CertificateSecret, SecretStore } from './secret-store.ts';

/** The last two segments; where Barbican is, the catalog says, and never a user. */
const REFERENCE = /^https?:\/\/\S+\/(secrets|containers)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?$/i;

const Secret = z.object({ content_types: z.object({ default: z.string() }).optional() });
const Container = z.object({
  type: z.string(),
  secret_refs: z.array(z.object({ name: z.string(), secret_ref: z.string() })),
});
const AccessControl = z.object({
  read: z
    .object({ users: z.array(z.string()).default([]), 'project-access': z.boolean().optional() })
    .optional(),
});

const DEADLINE_MS = 30_000;

/**
 * Secrets of Barbican (contract F5): a reference is a secret with a PKCS#12 bundle without passphrase, or a container of
 * type `certificate`. They are read with our own account, to which the users who refer to them give access.
 */
export class BarbicanStore implements SecretStore {
  readonly #options: Omit<ServiceOptions, 'name' | 'types' | 'base'>;
  readonly #barbican: Service;
  readonly #env: NodeJS.ProcessEnv;

  /** @param env of the openssl command */
  constructor(options: Omit<ServiceOptions, 'name' | 'types' | 'base'>, env: NodeJS.ProcessEnv) {
    this.#options = options;
    this.#barbican = open(options);
    this.#env = env;
  }

  static understands(ref: string): boolean {
    return REFERENCE.test(ref);
  }

  certificate(ref: string, user?: string): Promise<CertificateSecret> {
    return aboutSecret(ref, async () => {
      const { kind, id } = parse(ref);
      if (kind === 'containers') return parseCertificateBundle(await this.#container(id, user));
      const content = await this.#payload(id);
      const pem = looksLikePkcs12(content)
        ? await pkcs12ToPem(content, this.#env)
        : content.toString('latin1');
      return parseCertificateBundle(pem);
    });
  }

  pem(ref: string): Promise<string> {
    return aboutSecret(ref, async () => (await this.#payload(parse(ref).id)).toString('latin1'));
  }

  /** Octavia adds its user to the readers in each request that names a reference, and so do we. */
  async admitUs(ref: string, callerToken: string): Promise<void> {
    const own = await this.#options.session.token();
    const barbican = this.#barbican.onBehalfOf(callerToken);
    const { kind, id } = parse(ref);
    try {
      if (kind === 'containers') {
        const container = await barbican.send(call(), read(kind, id), Container);
        await Promise.all(
          container.secret_refs.map(({ secret_ref }) =>
            admit(barbican, 'secrets', parse(secret_ref).id, own.userId),
          ),
        );
      }
      await admit(barbican, kind, id, own.userId);
    } catch (error) {
      // Somebody else's secret may be open to us already; if not, reading it says so.
      if (!(error instanceof TerminalError)) throw error;
    }
  }

  async #container(id: string, user: string | undefined): Promise<string> {
    const container = await this.#readContainer(id, user).catch(unreadable);
    const part = async (name: string) => {
      const ref = container.secret_refs.find((each) => each.name === name)?.secret_ref;
      return ref === undefined ? '' : (await this.#payload(parse(ref).id)).toString('latin1');
    };
    const [certificate, key, intermediates, passphrase] = await Promise.all([
      part('certificate'),
      part('private_key'),
      part('intermediates'),
      part('private_key_passphrase'),
    ]);
    return `${certificate}\n${passphrase ? decrypted(key, passphrase) : key}\n${intermediates}`;
  }

  /** Registering a consumer answers with the container, and changes nothing when it is there already. */
  async #readContainer(id: string, user: string | undefined): Promise<z.output<typeof Container>> {
    if (user === undefined) return this.#barbican.send(call(), read('containers', id), Container);
    const path = `/containers/${segment(id)}/consumers`;
    const body = { name: 'Octavia', URL: user };
    const order = { method: 'POST', path, body, purpose: `register with container ${id}` } as const;
    return this.#barbican.send(call(), order, Container).catch((error) => {
      // Whoever may read it need not be allowed to be listed.
      if (error instanceof TerminalError) return this.#readContainer(id, undefined);
      throw error;
    });
  }

  async #payload(id: string): Promise<Buffer> {
    try {
      const { content_types } = await this.#barbican.send(call(), read('secrets', id), Secret);
      if (!content_types) throw new TerminalError('secret_malformed', 'it has no payload');
      const path = `/secrets/${segment(id)}/payload`;
      const order = { method: 'GET', path, purpose: `read the payload of secret ${id}` } as const;
      return await this.#barbican.read(call(), order, content_types.default);
    } catch (error) {
      return unreadable(error);
    }
  }
}

const open = (options: Omit<ServiceOptions, 'name' | 'types' | 'base'>) =>
  new Service({ ...options, name: 'barbican', types: ['key-manager'], base: '/v1' });

const call = (): Call => ({ signal: AbortSignal.timeout(DEADLINE_MS) });

const read = (kind: string, id: string) =>
  ({ method: 'GET', path: `/${kind}/${segment(id)}`, purpose: `read ${kind.slice(0, -1)} ${id}` }) as const;

function parse(ref: string): { kind: 'secrets' | 'containers'; id: string } {
  const [, kind, id] = REFERENCE.exec(ref) ?? [];
  if (!kind || !id) {
    throw new TerminalError(
      'secret_ref_unsupported',
      'it is no reference of Barbican: https://.../v1/secrets/ID',
    );
  }
  return { kind: kind.toLowerCase() as 'secrets' | 'containers', id };
}

async function admit(barbican: Service, kind: string, id: string, userId: string): Promise<void> {
  const path = `/${kind}/${segment(id)}/acl`;
  const purpose = `let the service read ${kind.slice(0, -1)} ${id}`;
  const { read: readers } = await barbican.send(call(), { method: 'GET', path, purpose }, AccessControl);
  if (readers?.users.includes(userId)) return;
  const body = { read: { ...readers, users: [...(readers?.users ?? []), userId] } };
  await barbican.send(call(), { method: 'PUT', path, body, purpose }, z.unknown());
}

/** The words of the contract of stores for what Barbican answers. */
function unreadable(error: unknown): never {
  if (!(error instanceof AmphoraeError)) throw error;
  if (error.kind === 'transient')
    throw new AmphoraeError('transient', 'secret_store_unavailable', error.message);
  if (error.code === 'secret_malformed') throw error;
  throw new TerminalError('secret_not_found', `it cannot be read: ${error.message}`, { cause: error });
}

function decrypted(key: string, passphrase: string): string {
  try {
    return String(createPrivateKey({ key, passphrase }).export({ type: 'pkcs8', format: 'pem' }));
  } catch (cause) {
    throw malformed('the private key cannot be decrypted with its passphrase', cause);
  }
}
