import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as othersFirst } from 'node:timers/promises';
import type { Logger } from 'pino';
import * as z from 'zod';
import type { InterfaceRule } from '../../src/amphora-api/interface-rules.ts';
import {
  type DropLog,
  type DropLogRequest,
  type FirewallCounters,
  SecurityGroup,
} from '../../src/amphora-api/security-group.ts';
import { CommandError } from '../command.ts';
import { AgentError } from '../errors.ts';
import { readOptional, stageFile } from '../files.ts';
import { formatAddress, parseAddress } from '../ip-address.ts';
import type { Namespace } from '../namespace.ts';
import { Serial } from '../serial.ts';
import type { AgentSettings } from '../settings.ts';
import { NftConsole } from './console.ts';
import { readCounters } from './counters.ts';
import { DropMonitor } from './drop-log.ts';
import { admissionOf, InterfaceRules } from './interface-rules.ts';
import {
  CLOSED,
  type FirewallInterface,
  isOpen,
  type Outline,
  outline,
  type Ruleset,
  renderRuleset,
} from './ruleset.ts';
import { rebuild, replace, TABLE } from './transaction.ts';

interface FirewallParts {
  namespace: Namespace;
  settings: Pick<AgentSettings, 'state_dir' | 'run_dir' | 'nft_path'>;
  log: Logger;
}

const LIST_COUNTERS = `list counters table ${TABLE}`;

/** What a controller has asked for: ours all at once, Octavia's address by address. */
const Desired = z.union([SecurityGroup, InterfaceRules]);
type Desired = z.infer<typeof Desired>;

/** The kernel's rules in the data-plane namespace, and the file they are restored from. One change at a time. */
export class Firewall {
  readonly #namespace: Namespace;
  readonly #nftPath: string;
  readonly #nft: NftConsole;
  readonly #path: string;
  readonly #loadedPath: string;
  readonly #log: Logger;
  readonly #serial = new Serial();
  readonly #monitor: DropMonitor;
  #desired: Desired = CLOSED;
  #interfaces: readonly FirewallInterface[] = [];
  #loaded: Outline | undefined;
  #hash = '';
  #tracedPerSecond: number | undefined;
  #endOfLog: NodeJS.Timeout | undefined;

  constructor({ namespace, settings, log }: FirewallParts) {
    this.#namespace = namespace;
    this.#nftPath = settings.nft_path;
    this.#nft = new NftConsole(namespace.enter(settings.nft_path, ['-i']), settings.run_dir);
    this.#path = join(settings.state_dir, 'amphora-firewall.json');
    this.#loadedPath = join(settings.run_dir, 'firewall-loaded.json');
    this.#log = log;
    this.#monitor = new DropMonitor({ namespace, nft: this.#nftPath, log });
  }

  /** Load the stored rules, or the closed set where there are none. Call it before any interface comes up. */
  restore(interfaces: readonly FirewallInterface[]): Promise<void> {
    return this.#serial.run(async () => this.#load(await this.#stored(), interfaces));
  }

  /**
   * Replace everything that is admitted. The file is replaced after the kernel accepted, so that a refused set
   * leaves the old one in force now and after a restart.
   * @throws AgentError 500 with nft's words
   */
  set(group: SecurityGroup): Promise<void> {
    return this.#serial.run(() => this.#accept(group));
  }

  /**
   * Replace what is admitted for one address of an interface, as an Octavia controller asks for it. The first such call
   * ends what a security group admits, and the other way round: the two are not mixed.
   * @throws AgentError 500 with nft's words
   */
  setInterfaceRules(ip: string, rules: InterfaceRule[]): Promise<void> {
    return this.#serial.run(() => {
      const others = 'interface_rules' in this.#desired ? this.#desired.interface_rules : {};
      const address = formatAddress(parseAddress(ip));
      return this.#accept({
        revision: this.#desired.revision + 1,
        interface_rules: { ...others, [address]: rules },
      });
    });
  }

  /** Fit the rules to the interfaces that there are now. */
  setInterfaces(interfaces: readonly FirewallInterface[]): Promise<void> {
    return this.#serial.run(() => this.#load(this.#desired, interfaces));
  }

  /** What is in force: the controller's revision, and a digest of the loaded rules. */
  status(): { revision: number; hash: string } {
    return { revision: this.#desired.revision, hash: this.#hash };
  }

  /** Somebody has said what may come in. */
  get open(): boolean {
    return isOpen(this.#desired);
  }

  /** What was accepted and dropped. */
  counters(): Promise<FirewallCounters> {
    return this.#serial.run(async () => {
      const listing = await this.#namespace.run(this.#nftPath, ['-j', LIST_COUNTERS]);
      return readCounters(listing, this.#loaded ?? { openings: [] });
    });
  }

  /** Write dropped packets down, at most so many a second, for a while. */
  logDrops({ seconds, per_second }: DropLogRequest): Promise<void> {
    return this.#serial.run(async () => {
      this.#monitor.start();
      await this.#trace(per_second);
      clearTimeout(this.#endOfLog);
      this.#endOfLog = setTimeout(() => void this.#endLog(), seconds * 1_000).unref();
    });
  }

  dropLog(): DropLog {
    return { active: this.#monitor.running, packets: this.#monitor.packets };
  }

  /** Stop what serves this agent only; the rules stay. */
  release(): void {
    clearTimeout(this.#endOfLog);
    this.#monitor.stop();
    this.#nft.end();
  }

  #endLog(): Promise<void> {
    return this.#serial.run(async () => {
      this.#monitor.stop();
      await this.#trace(undefined).catch((err) =>
        this.#log.error({ err }, 'dropped packets are still traced'),
      );
    });
  }

  #trace(perSecond: number | undefined): Promise<void> {
    this.#tracedPerSecond = perSecond;
    return this.#load(this.#desired, this.#interfaces);
  }

  async #accept(desired: Desired): Promise<void> {
    // The disk and the kernel work at the same time.
    const staging = stageFile(this.#path, JSON.stringify(desired));
    try {
      await this.#load(desired, this.#interfaces);
    } catch (error) {
      await staging.then((file) => file.discard()).catch(() => {});
      throw error;
    }
    const file = await staging;
    await file.commit();
  }

  async #load(desired: Desired, interfaces: readonly FirewallInterface[]): Promise<void> {
    const admission = 'interface_rules' in desired ? admissionOf(desired, interfaces) : desired;
    const ruleset = renderRuleset(admission, interfaces, { tracedPerSecond: this.#tracedPerSecond });
    await othersFirst();
    const loaded = outline(ruleset);
    const text = JSON.stringify(loaded);
    const hash = createHash('sha256').update(text).digest('hex');
    if (hash !== this.#hash) {
      await this.#change(ruleset);
      this.#loaded = loaded;
      this.#hash = hash;
      await writeFile(this.#loadedPath, text, { mode: 0o600 });
    }
    this.#desired = desired;
    this.#interfaces = interfaces;
  }

  async #change(ruleset: Ruleset): Promise<void> {
    const previous = this.#loaded ?? (await this.#loadedByEarlierAgent());
    if (previous) {
      try {
        await this.#replace(previous, ruleset);
        return;
      } catch (error) {
        this.#log.warn({ err: error }, 'the firewall is not as we left it, building it anew');
      }
    }
    try {
      await this.#nft.apply(rebuild(ruleset));
    } catch (error) {
      const details = error instanceof CommandError ? error.output.slice(0, 2_000) : undefined;
      throw new AgentError(500, 'The kernel refused the firewall rules; the previous ones stay in force', {
        details,
        cause: error,
      });
    }
  }

  async #replace(previous: Outline, next: Ruleset): Promise<void> {
    const { preparation, change, withdrawal } = replace(previous, next);
    try {
      await this.#nft.apply(preparation);
      await this.#nft.apply(change);
    } catch (error) {
      await this.#nft
        .apply(withdrawal)
        .catch((err) => this.#log.warn({ err }, 'sets without rules are left'));
      throw error;
    }
  }

  /** What the kernel has from an agent that ran since the amphora booted; a wrong answer is found by nft. */
  async #loadedByEarlierAgent(): Promise<Outline | undefined> {
    const text = await readOptional(this.#loadedPath);
    try {
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      // The agent died while it wrote the file.
      return undefined;
    }
  }

  async #stored(): Promise<Desired> {
    try {
      const text = await readOptional(this.#path);
      return text === undefined ? CLOSED : Desired.parse(JSON.parse(text));
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
