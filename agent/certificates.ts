import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AgentError } from './errors.ts';
import { readOptional, writeAtomically } from './files.ts';

/**
 * Certificates and private keys of TLS listeners. The files lie on the tmpfs below `run_dir`, so that keys never
 * reach a disk; haproxy finds them under the contract's path, `{state_dir}/certs/{lb}/`, through a link.
 */
export class Certificates {
  readonly #runDir: string;
  readonly #stateDir: string;

  constructor(runDir: string, stateDir: string) {
    this.#runDir = join(runDir, 'certs');
    this.#stateDir = stateDir;
  }

  async write(loadBalancerId: string, file: string, pem: string): Promise<void> {
    const link = join(this.#stateDir, 'certs');
    await mkdir(join(this.#runDir, loadBalancerId), { recursive: true, mode: 0o700 });
    await symlink(this.#runDir, link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await writeAtomically(this.#path(loadBalancerId, file), pem);
  }

  read(loadBalancerId: string, file: string): Promise<string | undefined> {
    return readOptional(this.#path(loadBalancerId, file));
  }

  async delete(loadBalancerId: string, file: string): Promise<void> {
    await rm(this.#path(loadBalancerId, file), { force: true });
  }

  #path(loadBalancerId: string, file: string): string {
    return join(this.#runDir, loadBalancerId, file);
  }
}

/**
 * Store the agent's own certificate and key (one PEM text), once it is sure that they belong together.
 * @throws AgentError 400
 */
export async function writeServerCertificate(path: string, pem: string): Promise<void> {
  let matches: boolean;
  try {
    matches = new X509Certificate(pem).checkPrivateKey(createPrivateKey(pem));
  } catch (error) {
    throw new AgentError(400, 'Invalid request', {
      details: 'body: must be a certificate and its private key in PEM',
      cause: error,
    });
  }
  if (!matches)
    throw new AgentError(400, 'Invalid request', { details: 'body: the key is not the certificate’s' });
  await mkdir(dirname(path), { recursive: true });
  await writeAtomically(path, pem);
}
