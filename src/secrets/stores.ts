import { TerminalError } from '../model/errors.ts';
import { BarbicanStore } from './barbican-store.ts';
import type { FileStore } from './file-store.ts';
import type { CertificateSecret, SecretStore } from './secret-store.ts';

/** The stores of an installation: Barbican for its references, where there is one, and files. */
export class Stores implements SecretStore {
  readonly #files: FileStore;
  readonly #barbican: BarbicanStore | undefined;

  constructor(files: FileStore, barbican: BarbicanStore | undefined) {
    this.#files = files;
    this.#barbican = barbican;
  }

  async certificate(ref: string, user?: string): Promise<CertificateSecret> {
    return this.#storeOf(ref).certificate(ref, user);
  }

  async pem(ref: string): Promise<string> {
    return this.#storeOf(ref).pem(ref);
  }

  async admitUs(ref: string, callerToken: string): Promise<void> {
    await this.#storeOf(ref).admitUs?.(ref, callerToken);
  }

  #storeOf(ref: string): SecretStore {
    if (!BarbicanStore.understands(ref)) return this.#files;
    if (this.#barbican) return this.#barbican;
    throw new TerminalError(
      'secret_ref_unsupported',
      `secret ${ref}: there is no Barbican here; set the account of the service (os_auth_url), or use file:NAME`,
    );
  }
}
