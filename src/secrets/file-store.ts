import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TerminalError, TransientError } from '../model/errors.ts';
import { aboutSecret } from './about.ts';
import { parseCertificateBundle } from './pem.ts';
import { looksLikePkcs12, pkcs12ToPem } from './pkcs12.ts';
import type { CertificateSecret, SecretStore } from './secret-store.ts';

/** `file:` and a plain name: no separator, no leading dot. */
const REFERENCE = /^file:([A-Za-z0-9][A-Za-z0-9._-]{0,127})$/;

interface FileStoreOptions {
  directory: string;
  /** Environment of the openssl command. */
  env: NodeJS.ProcessEnv;
}

/**
 * Secrets as files of one directory, which the operator fills: `file:www.p12` is `www.p12` in it. A certificate is a
 * PKCS#12 bundle without passphrase or PEM.
 */
export class FileStore implements SecretStore {
  readonly #options: FileStoreOptions;

  constructor(options: FileStoreOptions) {
    this.#options = options;
  }

  certificate(ref: string): Promise<CertificateSecret> {
    return aboutSecret(ref, async () => {
      const content = await this.#read(ref);
      const pem = looksLikePkcs12(content)
        ? await pkcs12ToPem(content, this.#options.env)
        : content.toString('latin1');
      return parseCertificateBundle(pem);
    });
  }

  pem(ref: string): Promise<string> {
    return aboutSecret(ref, async () => (await this.#read(ref)).toString('latin1'));
  }

  async #read(ref: string): Promise<Buffer> {
    const name = REFERENCE.exec(ref)?.[1];
    if (name === undefined) {
      throw new TerminalError('secret_ref_unsupported', 'only file:NAME is supported, with a plain name');
    }
    try {
      return await readFile(join(this.#options.directory, name));
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT')
        throw new TerminalError('secret_not_found', 'there is no such file in the secrets directory');
      throw new TransientError('secret_store_unavailable', `cannot be read (${code})`, { cause });
    }
  }
}
