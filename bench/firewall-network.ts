import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { type FirewallInterface, groupOf } from '../agent/nftables/ruleset.ts';
import { BenchClient, ended } from './firewall-client.ts';
import type { NftFile } from './firewall-rules.ts';

export const VIP = '10.250.0.1';
export const CLIENT = '10.206.0.1';
/** As long as all others that rules name. */
export const CLIENT_NETWORK = '10.206.0.0/24';
/** A source that no listener allows. */
export const EXCLUDED = '10.250.0.9';
export const MEMBER = '10.251.0.2';

/** Of a flood, between two packets of each of its senders. */
const SENDERS = 6;
const SEND_EVERY_US = 100;

/** What the amphora's agent would know of its VIP's interface. */
export const VIP_INTERFACE: FirewallInterface = {
  name: 'eth1',
  roles: ['vip', 'member'],
  filtered: true,
  addresses: [],
  vips: [VIP],
};

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

/** Each side has a CPU: where the scheduler happens to put whom changes the rate more than any rules. */
const ON_CLIENTS_CPU = ['taskset', '--cpu-list', '0'];
const ON_SERVERS_CPU = ['taskset', '--cpu-list', '1'];

/** SYNs, to a port from a source. */
export interface Flood {
  port: number;
  source: string;
}

/** A client, an amphora's data plane without its agent, and a member, joined by veth pairs. */
export class BenchNetwork {
  readonly #suffix: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'amphorae-bench-'));
  readonly #servers: ChildProcess[] = [];
  readonly #clients: BenchClient[] = [];

  private constructor(name: string) {
    this.#suffix = `bench-${process.pid}-${name}`;
  }

  static async start(name: string): Promise<BenchNetwork> {
    const network = new BenchNetwork(name);
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

  /** One that connects to a port, 16 times at once, one request each, and floods besides where it is told to. */
  client(port: number, flood?: Flood): BenchClient {
    const wrk = ['wrk', '-t1', '-c16', '-d3600s', '-H', 'Connection: close', `http://${VIP}:${port}/`];
    const connecting = this.#spawn('client', [...ON_CLIENTS_CPU, ...wrk]);
    const flooding = flood ? Array.from({ length: SENDERS }, () => this.#spawn('client', sender(flood))) : [];
    const accepted = () => this.#accepted();
    const client = new BenchClient({ connecting, flooding, servers: this.#servers, accepted });
    this.#clients.push(client);
    return client;
  }

  tracked(): number {
    return Number(this.#in('amphora', 'conntrack', '-C'));
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) await client.stop();
    for (const child of this.#servers) await ended(child);
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
    ip('-n', this.#name('amphora'), 'link', 'set', 'eth1', 'group', `${groupOf(VIP_INTERFACE)}`);
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

  /** Connections that haproxy has taken since it started. */
  async #accepted(): Promise<number> {
    const socket = connect(join(this.#directory, 'amphora.sock'));
    socket.end('show info\n');
    return Number(/^CumConns: (\d+)$/m.exec(await text(socket))?.[1]);
  }

  #haproxy(role: string, config: string): void {
    const file = join(this.#directory, `${role}.cfg`);
    writeFileSync(file, config.replace('SOCKET', join(this.#directory, `${role}.sock`)));
    this.#servers.push(this.#spawn(role, [...ON_SERVERS_CPU, 'haproxy', '-db', '-f', file]));
  }

  #spawn(role: string, command: string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.#name(role), ...command], { env, stdio: 'ignore' });
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

/** At a pace: who sends as fast as it can sends more where a SYN costs less. */
function sender({ port, source }: Flood): string[] {
  const hping = [
    'hping3',
    '-q',
    '-n',
    '-S',
    '-i',
    `u${SEND_EVERY_US}`,
    '-a',
    source,
    '-p',
    String(port),
    VIP,
  ];
  return ['nice', '-n', '-20', ...ON_CLIENTS_CPU, ...hping];
}
