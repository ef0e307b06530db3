/** A certificate with its private key; everything is PEM, one object per string, normalized. */
export interface CertificateSecret {
  certificate: string;
  /** PKCS#8, not encrypted. */
  privateKey: string;
  /** Issuers in between, nearest first; without the root. May be empty. */
  intermediates: string[];
}

/**
 * Where TLS material lives that users only refer to (contract F5). It is read when a request names a reference and again
 * at each push, and never stored by us.
 *
 * Errors: TerminalError `secret_ref_unsupported` (no store understands the reference), `secret_not_found`,
 * `secret_malformed` (it was read, and is not what it should be; the message says why and never quotes content);
 * TransientError `secret_store_unavailable`.
 */
export interface SecretStore {
  /**
   * A certificate with its key: PKCS#12 without passphrase, or a PEM bundle. The key belongs to the certificate.
   * @param user who will use it, as a URL: its owner sees that where the store keeps such a list
   */
  certificate(ref: string, user?: string): Promise<CertificateSecret>;
  /** The PEM text of certificate authorities or of a revocation list; `authorities` and `revocationList` check it. */
  pem(ref: string): Promise<string>;
  /**
   * Have us read what a caller refers to, with the caller's own token, where secrets have owners; absent elsewhere. What
   * the caller may not give is not given: reading it fails then.
   */
  admitUs?(ref: string, callerToken: string): Promise<void>;
}
