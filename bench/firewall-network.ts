import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { NftFile } from './firewall-rules.ts';

export const VIP = '10.250.0.1';
export const CLIENT = '10.206.0.1';
/** A source that no listener allows. */
export const EXCLUDED = '10.250.0.9';
export const MEMBER = '10.251.0.2';

const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const HAPROXY = `defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend itself
  bind ${VIP}:80
  http-request return status 200 content-type text/plain string itself
frontend through
  bind ${VIP}:81
  default_backend member
backend member
  server m ${MEMBER}:8080
`;
const MEMBER_HAPROXY = `defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend member
  bind ${MEMBER}:8080
  http-request return status 200 content-type text/plain string member
`;

/** A client, an amphora's data plane without its agent, and a member, joined by veth pairs. */
export class BenchNetwork {
  readonly #suffix = `bench-${process.pid}`;
  readonly #directory = mkdtempSync(join(tmpdir(), 'amphorae-bench-'));
  readonly #processes: ChildProcess[] = [];

  static async start(): Promise<BenchNetwork> {
    const network = new BenchNetwork();
    try {
      await network.#build();
      return network;
    } catch (error) {
      await network.stop();
      throw error;
    }
  }

  /** Put rules in force in place of all others, and forget what connections those had tracked. */
  load({ content, json }: NftFile): void {
    const file = join(this.#directory, 'rules');
    writeFileSync(file, content);
    this.#in('amphora', 'nft', ...(json ? ['-j'] : []), '-f', file);
    this.#in('amphora', 'conntrack', '-F');
  }

  /** Connections per second that one client makes, 16 at a time, one request each; over a second. */
  async rate(port: number, seconds = 1): Promise<number> {
    const wrk = ['wrk', '-t1', '-c16', `-d${seconds}s`, '-H', 'Connection: close', `http://${VIP}:${port}/`];
    const child = spawn('ip', ['netns', 'exec', this.#name('client'), ...wrk], { env });
    let output = '';
    child.stdout.on('data', (text) => {
      output += text;
    });
    await once(child, 'close');
    const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
    if (!rate) throw new Error(`wrk measured nothing: ${output}`);
    return rate;
  }

  /** Send SYNs to a port from a source for as long as the task takes. */
  async flooded<T>(port: number, source: string, task: () => Promise<T>): Promise<T> {
    const hping = ['hping3', '-q', '-n', '-S', '-i', 'u20', '-a', source, '-p', String(port), VIP];
    const flood = spawn('ip', ['netns', 'exec', this.#name('client'), ...hping], { env, stdio: 'ignore' });
    try {
      return await task();
    } finally {
      flood.kill('SIGKILL');
      await once(flood, 'exit');
    }
  }

  tracked(): number {
    return Number(this.#in('amphora', 'conntrack', '-C'));
  }

  async stop(): Promise<void> {
    for (const child of this.#processes) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    for (const role of ['client', 'amphora', 'member']) {
      try {
        execFileSync('ip', ['netns', 'delete', this.#name(role)], { env, stdio: 'ignore' });
      } catch {
        // it was not made yet
      }
    }
    rmSync(this.#directory, { recursive: true });
  }

  async #build(): Promise<void> {
    const ip = (...args: string[]) => execFileSync('ip', args, { env });
    for (const role of ['client', 'amphora', 'member']) {
      ip('netns', 'add', this.#name(role));
      ip('-n', this.#name(role), 'link', 'set', 'lo', 'up');
    }
    const join = (one: [string, string, string], other: [string, string, string]) => {
      const [a, b] = [this.#name(one[0]), this.#name(other[0])];
      ip('-n', a, 'link', 'add', one[1], 'type', 'veth', 'peer', 'name', other[1], 'netns', b);
      for (const [role, link, address] of [one, other]) {
        ip('-n', this.#name(role), 'address', 'add', address, 'dev', link);
        ip('-n', this.#name(role), 'link', 'set', link, 'up');
      }
    };
    join(['client', 'eth0', '10.250.0.2/16'], ['amphora', 'eth1', `${VIP}/16`]);
    join(['member', 'eth0', `${MEMBER}/16`], ['amphora', 'eth2', '10.251.0.1/16']);
    ip('-n', this.#name('client'), 'address', 'add', `${CLIENT}/32`, 'dev', 'lo');
    ip('-n', this.#name('client'), 'route', 'replace', '10.250.0.0/16', 'dev', 'eth0', 'src', CLIENT);
    ip('-n', this.#name('amphora'), 'route', 'add', CLIENT, 'dev', 'eth1');
    // The attacker is no machine of this network: it takes what it is answered, and does nothing with it.
    const nowhere = ['lladdr', '02:00:00:00:00:99', 'dev', 'eth1', 'nud', 'permanent'];
    ip('-n', this.#name('amphora'), 'neighbour', 'add', EXCLUDED, ...nowhere);
    this.#haproxy('amphora', HAPROXY);
    this.#haproxy('member', MEMBER_HAPROXY);
    await pause(500);
  }

  #haproxy(role: string, config: string): void {
    const file = join(this.#directory, `${role}.cfg`);
    writeFileSync(file, config);
    const command = ['netns', 'exec', this.#name(role), 'haproxy', '-db', '-f', file];
    this.#processes.push(spawn('ip', command, { env, stdio: 'ignore' }));
  }

  #in(role: string, ...command: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.#name(role), ...command], {
      env,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }

  #name(role: string): string {
    return `${this.#suffix}-${role}`;
  }
}
