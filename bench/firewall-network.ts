import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import type { NftFile } from './firewall-rules.ts';

export const VIP = '10.250.0.1';
export const CLIENT = '10.206.0.1';
/** A source that no listener allows. */
export const EXCLUDED = '10.250.0.9';
export const MEMBER = '10.251.0.2';

/** What is under way when the client stops has arrived after that, and it is up to speed again that long after it went on. */
const SETTLE_MS = 50;
const SLICE_MS = 400;
/** Of a flood, between two packets of each of its senders. */
const SENDERS = 2;
const SEND_EVERY_US = 100;

const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
const HAPROXY = `global
  stats socket SOCKET
defaults
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

/** What a short time saw; CPU times in µs. */
export interface Slice {
  perSecond: number;
  /** Of a connection, at both its ends. */
  cpu: number;
  /** Under a flood: SYNs in a second, and the CPU time of each with all that came of it. */
  sent?: number;
  cpuOfSyn?: number;
}

/** Each side has a CPU: where the scheduler happens to put whom changes the rate more than any rules. */
const ON_CLIENTS_CPU = ['taskset', '--cpu-list', '0'];
const ON_SERVERS_CPU = ['taskset', '--cpu-list', '1'];

export interface BenchClient {
  /** How connections fare with these rules. */
  slice(rules: NftFile): Promise<Slice>;
}

/** A client, an amphora's data plane without its agent, and a member, joined by veth pairs. */
export class BenchNetwork {
  readonly #suffix = `bench-${process.pid}`;
  readonly #directory = mkdtempSync(join(tmpdir(), 'amphorae-bench-'));
  readonly #processes: ChildProcess[] = [];
  #senders: ChildProcess[] = [];

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
  load(rules: NftFile): void {
    const file = join(this.#directory, 'rules');
    writeFileSync(file, rules);
    this.#in('amphora', 'nft', '-f', file);
    this.#in('amphora', 'conntrack', '-F');
  }

  /** Have one client make connections to a port, 16 at a time, one request each, for as long as the task takes. */
  async withClient<T>(port: number, task: (client: BenchClient) => Promise<T>): Promise<T> {
    const wrk = [
      ...ON_CLIENTS_CPU,
      'wrk',
      '-t1',
      '-c16',
      '-d3600s',
      '-H',
      'Connection: close',
      `http://${VIP}:${port}/`,
    ];
    const child = spawn('ip', ['netns', 'exec', this.#name('client'), ...wrk], { env, stdio: 'ignore' });
    const slice = async (rules: NftFile): Promise<Slice> => {
      // Not one packet of a connection is lost to a change of rules: it would be missed for a second.
      child.kill('SIGSTOP');
      await pause(SETTLE_MS);
      this.load(rules);
      // Whom the amphora has answered and who has not answered back.
      if (this.#senders.length > 0) this.#in('amphora', 'ss', '--kill', '--no-header', 'state', 'syn-recv');
      child.kill('SIGCONT');
      await pause(SETTLE_MS);
      return this.#measure([child, ...this.#processes]);
    };
    try {
      await pause(SETTLE_MS);
      return await task({ slice });
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }

  /**
   * Send SYNs to a port from a source for as long as the task takes, at a pace: who sends as fast as it can sends more where a
   * SYN costs less.
   */
  async flooded<T>(port: number, source: string, task: () => Promise<T>): Promise<T> {
    const pace = ['-i', `u${SEND_EVERY_US}`];
    const hping = ['hping3', '-q', '-n', '-S', ...pace, '-a', source, '-p', String(port), VIP];
    const command = ['netns', 'exec', this.#name('client'), 'nice', '-n', '-20', ...ON_CLIENTS_CPU, ...hping];
    this.#senders = Array.from({ length: SENDERS }, () => spawn('ip', command, { env, stdio: 'ignore' }));
    try {
      return await task();
    } finally {
      for (const sender of this.#senders) {
        sender.kill('SIGKILL');
        await once(sender, 'exit');
      }
      this.#senders = [];
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
    // Else all ports of the client wait a minute after so many connections, and looking for a free one is what is measured.
    this.#in('client', 'sysctl', '-qw', 'net.ipv4.tcp_max_tw_buckets=0');
    this.#haproxy('amphora', HAPROXY);
    this.#haproxy('member', MEMBER_HAPROXY);
    await pause(500);
  }

  async #measure(servers: ChildProcess[]): Promise<Slice> {
    const look = async () => ({
      at: performance.now() / 1_000,
      connections: await this.#accepted(),
      cpu: cpuTime(servers),
      sent: sleeps(this.#senders),
      flood: cpuTime(this.#senders),
    });
    const before = await look();
    await pause(SLICE_MS);
    const after = await look();
    const [connections, seconds] = [after.connections - before.connections, after.at - before.at];
    const sent = after.sent - before.sent;
    return {
      perSecond: connections / seconds,
      cpu: (after.cpu - before.cpu) / connections,
      ...(sent > 0 && { sent: sent / seconds, cpuOfSyn: (after.flood - before.flood) / sent }),
    };
  }

  /** Connections that haproxy has taken since it started. */
  async #accepted(): Promise<number> {
    const socket = connect(join(this.#directory, 'amphora.sock'));
    socket.end('show info\n');
    return Number(/^CumConns: (\d+)$/m.exec(await text(socket))?.[1]);
  }

  #haproxy(role: string, config: string): void {
    const file = join(this.#directory, `${role}.cfg`);
    writeFileSync(file, config.replace('SOCKET', join(this.#directory, `${role}.sock`)));
    const command = ['netns', 'exec', this.#name(role), ...ON_SERVERS_CPU, 'haproxy', '-db', '-f', file];
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

/**
 * CPU time of processes that run, in µs. What the kernel does with a packet is in it: on these links it happens where the
 * packet is sent.
 */
function cpuTime(processes: ChildProcess[]): number {
  return processes
    .flatMap(({ pid }) =>
      readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`),
    )
    .reduce((sum, path) => sum + Number(readFileSync(path, 'utf8').split(' ')[0]) / 1_000, 0);
}

/** How often processes went to sleep; a sender does after each SYN. */
function sleeps(processes: ChildProcess[]): number {
  return processes
    .map(
      ({ pid }) =>
        /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
    )
    .reduce((sum, count) => sum + Number(count), 0);
}
