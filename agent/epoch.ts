import { join } from 'node:path';
import type { MiddlewareHandler } from 'hono';
import { EPOCH_HEADER, STALE_EPOCH } from '../src/amphora-api/headers.ts';
import { AgentError } from './errors.ts';
import { readOptional, writeAtomically } from './files.ts';
import { Serial } from './serial.ts';

/** Refuses controllers that lost this amphora's partition: the highest epoch ever seen is the lowest obeyed. */
export class EpochFence {
  readonly #path: string;
  readonly #serial = new Serial();
  #highest: bigint | undefined;

  private constructor(path: string, highest: bigint | undefined) {
    this.#path = path;
    this.#highest = highest;
  }

  static async load(stateDir: string): Promise<EpochFence> {
    const path = join(stateDir, 'epoch');
    const stored = await readOptional(path);
    return new EpochFence(path, stored === undefined ? undefined : BigInt(stored));
  }

  /** In front of every handler; a higher epoch is on disk before the handler runs. */
  readonly middleware: MiddlewareHandler = async (context, next) => {
    const header = context.req.header(EPOCH_HEADER);
    if (header !== undefined) await this.#serial.run(() => this.#admit(header));
    // An Octavia controller knows no epochs; it may drive an amphora that no controller of ours ever owned.
    else if (this.#highest !== undefined && !['GET', 'HEAD'].includes(context.req.method)) {
      throw new AgentError(412, `This amphora is fenced: send ${EPOCH_HEADER}`, { code: STALE_EPOCH });
    }
    await next();
  };

  async #admit(header: string): Promise<void> {
    if (!/^\d{1,20}$/.test(header)) {
      throw new AgentError(400, 'Invalid request', { details: `${EPOCH_HEADER}: must be a decimal number` });
    }
    const epoch = BigInt(header);
    if (this.#highest !== undefined && epoch < this.#highest) {
      throw new AgentError(
        412,
        `Epoch ${epoch} is older than ${this.#highest}: another controller owns this amphora`,
        {
          code: STALE_EPOCH,
        },
      );
    }
    if (epoch === this.#highest) return;
    await writeAtomically(this.#path, String(epoch));
    this.#highest = epoch;
  }
}
