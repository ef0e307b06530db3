import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DATA_PLANE_NAMESPACE } from '../src/amphora-api/headers.ts';
import { run } from './command.ts';
import type { Family } from './ip-address.ts';
import type { AgentSettings } from './settings.ts';

const ENTER_DEADLINE_MS = 5_000;

/** The network namespace that holds the data-plane interfaces, and the ways to work in it. */
export class Namespace {
  readonly name = DATA_PLANE_NAMESPACE;
  readonly #settings: Pick<AgentSettings, 'ip_path' | 'nsenter_path'>;
  #speaking = false;
  #devices: Promise<FileHandle> | undefined;

  constructor(settings: Pick<AgentSettings, 'ip_path' | 'nsenter_path'>) {
    this.#settings = settings;
  }

  /**
   * Make the namespace if it is missing. It has no interface but loopback, which stays down: the caller loads
   * the firewall first, then calls `open`. Until `speak` it answers no neighbour: an amphora that replaces another has the
   * VIP from the moment it is plugged, and must not take it before it can serve.
   */
  async create(): Promise<void> {
    const made = !existsSync(`/run/netns/${this.name}`);
    if (made) await run(this.#settings.ip_path, ['netns', 'add', this.name]);
    await this.configure(KERNEL_SETTINGS);
    if (made) await this.configure(SILENT);
  }

  /** Answer neighbours from now on, and announce addresses to them. Whether that is new. */
  async speak(): Promise<boolean> {
    if (this.#speaking) return false;
    await this.configure(SPEAKING);
    this.#speaking = true;
    return true;
  }

  /** Write kernel settings in the namespace: value -> files. */
  async configure(settings: Record<string, string[]>): Promise<void> {
    await Promise.all(
      Object.entries(settings).map(([value, paths]) => this.run('/usr/bin/tee', paths, value)),
    );
  }

  /** Bring loopback up: haproxy's health checks and statistics use it. */
  async open(): Promise<void> {
    await this.ip(['link set lo up']);
  }

  /** Program and arguments that run `file` inside the namespace, with the same process id. */
  enter(file: string, args: readonly string[]): [string, string[]] {
    return [this.#settings.nsenter_path, [`--net=/run/netns/${this.name}`, file, ...args]];
  }

  run(file: string, args: readonly string[], input?: string): Promise<string> {
    return run(...this.enter(file, args), input);
  }

  /** Its `/proc/net/dev` (man proc): what its interfaces have received and sent. */
  async deviceCounts(): Promise<string> {
    this.#devices ??= this.#openDevices().catch((error) => {
      this.#devices = undefined;
      throw error;
    });
    const devices = await this.#devices;
    const buffer = Buffer.alloc(16_384);
    const parts: string[] = [];
    for (let position = 0; ; ) {
      const { bytesRead } = await devices.read({ buffer, position });
      if (bytesRead === 0) return parts.join('');
      parts.push(buffer.toString('latin1', 0, bytesRead));
      position += bytesRead;
    }
  }

  /** The file stays what it is for the process through which it was opened, also when that is gone: no call has to start one. */
  async #openDevices(): Promise<FileHandle> {
    const [file, args] = this.enter('/usr/bin/cat', []);
    const inside = spawn(file, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    // Who cannot enter does not answer.
    inside.on('error', () => {});
    inside.stdin.on('error', () => {});
    try {
      inside.stdin.write('?');
      // Once it answers, it is inside.
      await once(inside.stdout, 'data', { signal: AbortSignal.timeout(ENTER_DEADLINE_MS) });
      return await open(`/proc/${inside.pid}/net/dev`);
    } finally {
      inside.kill('SIGKILL');
    }
  }

  /**
   * Run `ip` commands inside the namespace, in order, as one process; the first failure ends it.
   * @param family for commands that cannot tell it from their addresses (`rule`)
   */
  async ip(commands: readonly string[], family?: Family): Promise<void> {
    if (commands.length === 0) return;
    const options = ['-n', this.name, ...(family ? [`-${family}`] : []), '-batch', '-'];
    await run(this.#settings.ip_path, options, `${commands.join('\n')}\n`);
  }

  /** Ask `ip -j` inside the namespace. */
  async query(args: readonly string[]): Promise<unknown> {
    return JSON.parse((await run(this.#settings.ip_path, ['-n', this.name, '-j', ...args])) || '[]');
  }
}

const ipv4 = (name: string) => ['all', 'default'].map((scope) => `/proc/sys/net/ipv4/conf/${scope}/${name}`);
const ipv6 = (name: string) => ['all', 'default'].map((scope) => `/proc/sys/net/ipv6/conf/${scope}/${name}`);

/** Value -> files. `all` is for what exists, `default` for interfaces that are still to come. */
const KERNEL_SETTINGS: Record<string, string[]> = {
  '0': [...ipv6('accept_ra'), ...ipv4('accept_redirects'), ...ipv6('accept_redirects'), ...ipv4('rp_filter')],
  '1': [
    // A standby amphora binds haproxy to a VIP that it does not have yet.
    '/proc/sys/net/ipv4/ip_nonlocal_bind',
    '/proc/sys/net/ipv6/ip_nonlocal_bind',
  ],
  '2': ipv4('arp_announce'),
  // haproxy's group (nogroup) may ping, which its health checks do; its processes can gain no capability.
  '65534 65534': ['/proc/sys/net/ipv4/ping_group_range'],
};

const ALL_IPV4 = '/proc/sys/net/ipv4/conf/all';
const ALL_IPV6 = '/proc/sys/net/ipv6/conf/all';

/** 8: no address is answered for. IPv6 has no such setting; there the firewall drops what neighbours ask. */
const SILENT: Record<string, string[]> = {
  '8': [`${ALL_IPV4}/arp_ignore`],
};

const SPEAKING: Record<string, string[]> = {
  '1': [
    // The VIP is answered for on its own interface only, not on the members' networks.
    `${ALL_IPV4}/arp_ignore`,
    // Interfaces announce their addresses, so that neighbours forget the previous owner.
    `${ALL_IPV4}/arp_notify`,
    `${ALL_IPV6}/ndisc_notify`,
  ],
};
