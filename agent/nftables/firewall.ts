import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { SecurityGroup } from '../../src/amphora-api/security-group.ts';
import { CommandError } from '../command.ts';
import { AgentError } from '../errors.ts';
import { readOptional, writeAtomically } from '../files.ts';
import type { Namespace } from '../namespace.ts';
import { Serial } from '../serial.ts';
import type { AgentSettings } from '../settings.ts';
import { CLOSED, type FirewallInterface, isOpen, type Ruleset, renderRuleset } from './ruleset.ts';
import { rebuild, replace, type Transaction } from './transaction.ts';

interface FirewallParts {
  namespace: Namespace;
  settings: Pick<AgentSettings, 'state_dir' | 'run_dir' | 'nft_path'>;
  log: Logger;
}

/** The kernel's rules in the data-plane namespace, and the file they are restored from. One change at a time. */
export class Firewall {
  readonly #namespace: Namespace;
  readonly #nft: string;
  readonly #path: string;
  readonly #loadedPath: string;
  readonly #transactionPath: string;
  readonly #log: Logger;
  readonly #serial = new Serial();
  #group: SecurityGroup = CLOSED;
  #interfaces: readonly FirewallInterface[] = [];
  #ruleset: Ruleset | undefined;
  #hash = '';

  constructor({ namespace, settings, log }: FirewallParts) {
    this.#namespace = namespace;
    this.#nft = settings.nft_path;
    this.#path = join(settings.state_dir, 'amphora-firewall.json');
    this.#loadedPath = join(settings.run_dir, 'firewall-loaded.json');
    this.#transactionPath = join(settings.run_dir, 'firewall-transaction.json');
    this.#log = log;
  }

  /** Load the stored rules, or the closed set where there are none. Call it before any interface comes up. */
  restore(interfaces: readonly FirewallInterface[]): Promise<void> {
    return this.#serial.run(async () => this.#load(await this.#stored(), interfaces));
  }

  /**
   * Replace everything that is admitted. The file is written after the kernel accepted, so that a refused set
   * leaves the old one in force now and after a restart.
   * @throws AgentError 500 with nft's words
   */
  set(group: SecurityGroup): Promise<void> {
    return this.#serial.run(async () => {
      await this.#load(group, this.#interfaces);
      await writeAtomically(this.#path, JSON.stringify(group));
    });
  }

  /** Fit the rules to the interfaces that there are now. */
  setInterfaces(interfaces: readonly FirewallInterface[]): Promise<void> {
    return this.#serial.run(() => this.#load(this.#group, interfaces));
  }

  /** What is in force: the controller's revision, and a digest of the loaded rules. */
  status(): { revision: number; hash: string } {
    return { revision: this.#group.revision, hash: this.#hash };
  }

  /** Somebody has said what may come in. */
  get open(): boolean {
    return isOpen(this.#group);
  }

  async #load(group: SecurityGroup, interfaces: readonly FirewallInterface[]): Promise<void> {
    const ruleset = renderRuleset(group, interfaces);
    const hash = createHash('sha256').update(JSON.stringify(ruleset)).digest('hex');
    if (hash !== this.#hash) {
      await this.#change(ruleset);
      this.#ruleset = ruleset;
      this.#hash = hash;
      await writeFile(this.#loadedPath, JSON.stringify(ruleset), { mode: 0o600 });
    }
    this.#group = group;
    this.#interfaces = interfaces;
  }

  async #change(ruleset: Ruleset): Promise<void> {
    const previous = this.#ruleset ?? (await this.#loadedByEarlierAgent());
    if (previous) {
      try {
        await this.#commit(replace(previous, ruleset));
        return;
      } catch (error) {
        this.#log.warn({ err: error }, 'the firewall is not as we left it, building it anew');
      }
    }
    try {
      await this.#commit(rebuild(ruleset));
    } catch (error) {
      const details = error instanceof CommandError ? error.output.slice(0, 2_000) : undefined;
      throw new AgentError(500, 'The kernel refused the firewall rules; the previous ones stay in force', {
        details,
        cause: error,
      });
    }
  }

  async #commit(transaction: Transaction): Promise<void> {
    // nft reads JSON only from what it can open by name, which Node's pipes are not.
    await writeFile(this.#transactionPath, JSON.stringify(transaction), { mode: 0o600 });
    await this.#namespace.run(this.#nft, ['-j', '-f', this.#transactionPath]);
  }

  /** What the kernel has from an agent that ran since the amphora booted; a wrong answer is found by nft. */
  async #loadedByEarlierAgent(): Promise<Ruleset | undefined> {
    const text = await readOptional(this.#loadedPath);
    try {
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      // The agent died while it wrote the file.
      return undefined;
    }
  }

  async #stored(): Promise<SecurityGroup> {
    try {
      const text = await readOptional(this.#path);
      return text === undefined ? CLOSED : SecurityGroup.parse(JSON.parse(text));
    } catch (error) {
      // Closed is the only safe reading of a damaged file; the controller's next push repairs it.
      this.#log.error(
        { err: error, path: this.#path },
        'the stored firewall is unreadable: everything is dropped',
      );
      return CLOSED;
    }
  }
}
