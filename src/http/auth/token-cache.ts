import { createHash } from 'node:crypto';
import type { TokenSubject } from '../../keystone/client.ts';

/** Tokens that are kept; each takes about a kilobyte. */
const SIZE = 10_000;

interface Entry {
  subject: Promise<TokenSubject | undefined>;
  /** Milliseconds since the epoch; while the answer is awaited there is no end. */
  until: number;
}

/**
 * What tokens say, kept for a while. A token is asked for again after `ttlMs`, so that a revoked one, or a role that was
 * taken away, ends by then; and never used after its own end. Those that were invalid are kept as well: they never become
 * valid. Requests with the same token at the same time ask once.
 */
export class TokenCache {
  readonly #validate: (token: string) => Promise<TokenSubject | undefined>;
  readonly #ttlMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor(validate: (token: string) => Promise<TokenSubject | undefined>, ttlMs: number) {
    this.#validate = validate;
    this.#ttlMs = ttlMs;
  }

  /** Whom a token stands for; undefined when it is not valid. Rejects as `validate` does, and forgets that. */
  subject(token: string): Promise<TokenSubject | undefined> {
    // Nobody who reads the memory of this process should find tokens.
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#entries.get(key);
    if (known !== undefined && Date.now() < known.until) return known.subject;

    const subject = this.#validate(token);
    const entry: Entry = { subject, until: Number.POSITIVE_INFINITY };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    subject.then(
      (found) => {
        entry.until = Math.min(
          Date.now() + this.#ttlMs,
          found?.expiresAt.getTime() ?? Number.POSITIVE_INFINITY,
        );
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    if (this.#entries.size > SIZE) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    return subject;
  }
}
