import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readlink, rm, statfs, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AgentError } from './errors.ts';
import { readOptional, writeAtomically } from './files.ts';

/** Types of file systems (statfs(2)) whose content is never written to a disk. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);

/**
 * Certificates and private keys of TLS listeners, in `{state_dir}/certs/{lb}/` (contract D3). That is a link to a place below
 * `run_dir`, in memory, so that keys never reach a disk; an image of Octavia has an encrypted file system of its own there.
 */
export class Certificates {
  readonly #memory: string;
  readonly #directory: string;

  constructor(runDir: string, stateDir: string) {
    this.#memory = join(runDir, 'certs');
    this.#directory = join(stateDir, 'certs');
  }

  /**
   * Store a file once it is sure that haproxy can use it. Resolves with whether it is different now.
   * @param content PEM, or for a list of certificates one path below `{state_dir}/certs/{lb}/` on each line
   * @throws AgentError 400
   */
  async write(loadBalancerId: string, file: string, content: string): Promise<boolean> {
    if (content.includes('-----BEGIN ')) checkPem(content);
    else this.#checkList(loadBalancerId, content);
    if ((await this.read(loadBalancerId, file)) === content) return false;
    await this.#prepare(loadBalancerId);
    await writeAtomically(this.#path(loadBalancerId, file), content);
    return true;
  }

  read(loadBalancerId: string, file: string): Promise<string | undefined> {
    return readOptional(this.#path(loadBalancerId, file));
  }

  /** Name -> content of all that a load balancer has. */
  async readAll(loadBalancerId: string): Promise<Map<string, string>> {
    const names = await readdir(join(this.#directory, loadBalancerId)).catch(() => []);
    const entries = names
      .filter((name) => name.endsWith('.pem'))
      .map(async (name): Promise<[string, string]> => [name, (await this.read(loadBalancerId, name)) ?? '']);
    return new Map(await Promise.all(entries));
  }

  async delete(loadBalancerId: string, file: string): Promise<void> {
    await rm(this.#path(loadBalancerId, file), { force: true });
  }

  async deleteAll(loadBalancerId: string): Promise<void> {
    await rm(join(this.#directory, loadBalancerId), { recursive: true, force: true });
  }

  #path(loadBalancerId: string, file: string): string {
    return join(this.#directory, loadBalancerId, file);
  }

  async #prepare(loadBalancerId: string): Promise<void> {
    await symlink(this.#memory, this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    if ((await readlink(this.#directory).catch(() => undefined)) === this.#memory) {
      await mkdir(this.#memory, { recursive: true, mode: 0o700 });
      if (!IN_MEMORY.has((await statfs(this.#memory)).type))
        throw new AgentError(500, 'Certificates are kept in memory only', {
          details: `${this.#memory} is not a tmpfs`,
        });
    }
    await mkdir(join(this.#directory, loadBalancerId), { recursive: true, mode: 0o700 });
  }

  #checkList(loadBalancerId: string, content: string): void {
    const directory = join(this.#directory, loadBalancerId);
    const isOwn = (line: string) =>
      dirname(line) === directory && /^[A-Za-z0-9_-]+\.pem$/.test(basename(line));
    if (!content.trimEnd().split('\n').every(isOwn))
      throw malformed(`must be PEM, or a list of files below ${directory}`);
  }
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g;

/** Every certificate and key in it can be read, and a key belongs to the first certificate. */
function checkPem(content: string): void {
  const blocks = [...content.matchAll(PEM_BLOCK)].map(([block, label = '']) => ({ block, label }));
  const key = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'));
  let matches = blocks.length > 0;
  try {
    const certificates = blocks
      .filter(({ label }) => label === 'CERTIFICATE')
      .map(({ block }) => new X509Certificate(block));
    if (key) matches = certificates[0]?.checkPrivateKey(createPrivateKey(key.block)) ?? false;
  } catch (cause) {
    throw malformed('holds a certificate or private key that cannot be read', cause);
  }
  if (!matches) throw malformed(key ? 'the key is not the first certificate’s' : 'holds nothing in PEM');
}

function malformed(reason: string, cause?: unknown): AgentError {
  return new AgentError(400, 'Invalid request', { details: `body: ${reason}`, cause });
}
