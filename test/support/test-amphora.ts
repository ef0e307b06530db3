import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Agent, request } from 'undici';
import type { AgentClient, AgentTarget } from '../../src/amphora-api/client.ts';
import { EPOCH_HEADER } from '../../src/amphora-api/headers.ts';
import { createAgentClient } from '../../src/amphora-api/undici-client.ts';
import { systemctlScript } from './systemctl.ts';
import { createTestPki, type TestPki } from './test-pki.ts';

const execute = promisify(execFile);
const CHECKOUT = join(import.meta.dirname, '../..');
const PORT = 9443;

/** Where systemd has its units, in amphorae that have it. */
const UNITS = '/usr/lib/systemd/system';

/** Where an amphora keeps its state (contract D3), and its haproxy finds it. */
const STATE_DIR = '/var/lib/octavia';

interface HowToRun {
  /** With no other capabilities than the agent's unit has. */
  confined?: boolean;
  /** The agent; this checkout's sources by default. */
  program?: string;
  /** Where Node.js keeps what it has compiled. */
  codeCache?: string;
  /** Options of Node.js. */
  nodeOptions?: string;
}

/** Runs what follows with the capabilities that the agent's unit leaves it, and no others. */
const CONFINED = [
  'setpriv',
  `--bounding-set=-all,${unitOption('CapabilityBoundingSet')
    .map((name) => name.replace('CAP_', '+').toLowerCase())
    .join(',')}`,
];

/**
 * Mounts of its own, then process 1 of an amphora. The copied names of the host's namespaces must not live on. In /var/lib
 * everything of the host's shows through but the state.
 */
const BOOT = `umount --lazy --recursive /run/netns 2>/dev/null || true
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/lib
mount --rbind /var/lib /run/lib
mount -t tmpfs -o mode=0755 tmpfs /var/lib
ln -s /run/lib/* /var/lib
rm -f ${STATE_DIR}
mkdir ${STATE_DIR}
mount --bind "$1" ${STATE_DIR}
if [ -x "$1.systemctl" ]; then
  mount -t tmpfs tmpfs ${UNITS}
  mount --bind "$1.systemctl" /usr/bin/systemctl
fi
shift
exec "$@"`;

/** The real agent in namespaces of its own, with a management link to this process. `stop` removes all. */
export class TestAmphora {
  readonly id = randomUUID();
  readonly pki: TestPki;
  readonly directory = mkdtempSync(join(tmpdir(), 'amphorae-agent-'));
  /** Its /var/lib/octavia, as this process sees it. */
  readonly stateDir = join(this.directory, 'state');
  readonly namespace = `amphorae-test-${process.pid}-${randomBytes(3).toString('hex')}`;
  readonly #run: HowToRun;
  readonly #subnet = `fd00:${randomBytes(2).toString('hex')}:${randomBytes(2).toString('hex')}`;
  readonly #link = `t${randomBytes(4).toString('hex')}`;
  #process: ChildProcess | undefined;
  #client: AgentClient | undefined;
  #connections: Agent | undefined;

  private constructor(pki: TestPki, run: HowToRun) {
    this.pki = pki;
    this.#run = run;
  }

  static start(settings: Record<string, unknown> = {}, run: HowToRun = {}): Promise<TestAmphora> {
    return TestAmphora.#start(run, (amphora) => ({
      amphora_id: amphora.id,
      bind_address: amphora.address,
      bind_port: PORT,
      state_dir: STATE_DIR,
      server_cert: join(amphora.directory, 'server.pem'),
      client_ca: join(amphora.directory, 'client_ca.pem'),
      log_level: 'warn',
      ...settings,
    }));
  }

  /** With the configuration file that an Octavia controller gives to its amphorae, units of a systemd, and confined. */
  static startAsOctavia(heartbeat: { controller: string; key: string }): Promise<TestAmphora> {
    return TestAmphora.#start({ confined: true }, (amphora) => {
      writeFileSync(`${amphora.stateDir}.systemctl`, systemctlScript(UNITS, '/run'), { mode: 0o755 });
      return octaviaConf(amphora, heartbeat);
    });
  }

  static async #start(
    run: HowToRun,
    settings: (amphora: TestAmphora) => object | string,
  ): Promise<TestAmphora> {
    const amphora = new TestAmphora(await createTestPki(), run);
    try {
      await amphora.#plugManagement();
      await amphora.#writeFiles(settings(amphora));
      await amphora.boot();
      return amphora;
    } catch (error) {
      await amphora.stop();
      throw error;
    }
  }

  get #program(): string {
    return this.#run.program ?? join(CHECKOUT, 'agent/main.ts');
  }

  get address(): string {
    return `${this.#subnet}::2`;
  }

  get client(): AgentClient {
    if (!this.#client) throw new Error('the amphora is not running');
    return this.#client;
  }

  target(epoch = 1): AgentTarget {
    return { amphoraId: this.id, address: this.address, epoch, signal: AbortSignal.timeout(30_000) };
  }

  /** A call as an Octavia controller makes it: without an epoch, unless one is given. */
  async call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: string | object,
    epoch?: string,
  ) {
    if (!this.#connections) throw new Error('the amphora is not running');
    const response = await request(`https://[${this.address}]:${PORT}${path}`, {
      method,
      dispatcher: this.#connections,
      body: typeof body === 'object' ? JSON.stringify(body) : (body ?? null),
      headers: epoch === undefined ? {} : { [EPOCH_HEADER]: epoch },
    });
    const text = await response.body.text();
    return { status: response.statusCode, headers: response.headers, text, json: () => JSON.parse(text) };
  }

  /** A client with a certificate of that name, signed by the amphora's authority or another. */
  async clientNamed(name: string, pki = this.pki): Promise<AgentClient> {
    const identity = await pki.issue(name);
    return createAgentClient({ ca: this.pki.ca, ...identity, requestSeconds: 20, port: PORT });
  }

  /** Start process 1 and wait for the agent; milliseconds from the start to its first answer. */
  async boot(): Promise<number> {
    const start = performance.now();
    this.#process = spawn(
      'ip',
      [
        ...['netns', 'exec', this.namespace, 'unshare', '--mount', '--pid', '--fork', '--kill-child'],
        ...['sh', '-ec', BOOT, 'boot', this.stateDir, ...(this.#run.confined ? CONFINED : [])],
        join(CHECKOUT, 'agent/init'),
        ...[process.execPath, this.#program, join(this.directory, 'agent.json')],
      ],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          ...(this.#run.codeCache && { NODE_COMPILE_CACHE: this.#run.codeCache }),
          ...(this.#run.nodeOptions && { NODE_OPTIONS: this.#run.nodeOptions }),
        },
      },
    );
    this.#client ??= await this.clientNamed('amphorae-controller');
    this.#connections ??= await this.#connect();
    await this.#untilReady();
    return performance.now() - start;
  }

  /** End every process of the amphora, as a power failure does. */
  async crash(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#killAll();
  }

  /** Process id, on this host, of the running agent. */
  async agentPid(): Promise<number> {
    for (const pid of await this.#pids()) {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${this.#program}\0--config`)) return pid;
    }
    throw new Error('the agent does not run');
  }

  /** haproxy's masters and workers, by their ids inside the amphora. */
  async haproxyPids(): Promise<string[]> {
    const output = await this.inDataPlane(['pgrep', '-x', 'haproxy']).catch(() => '');
    return output.split('\n').filter(Boolean);
  }

  /** Kill the agent, do something without it, and wait until process 1 has brought it back. */
  async restartAgent(meanwhile = async () => {}): Promise<void> {
    const pid = await this.agentPid();
    process.kill(pid, 'SIGKILL');
    await meanwhile();
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(20)) {
      if ((await this.agentPid().catch(() => pid)) !== pid) return this.#untilReady();
    }
    throw new Error('the agent did not come back');
  }

  /** A port on a bridge, in the amphora's default namespace, as a host attaches one. */
  async attach(bridge: string, mac: string): Promise<string> {
    const outer = `t${randomBytes(4).toString('hex')}`;
    const inner = ['type', 'veth', 'peer', 'name', `p${mac.replaceAll(':', '')}`, 'address', mac];
    await execute('ip', ['link', 'add', outer, ...inner, 'netns', this.namespace]);
    await execute('ip', ['link', 'set', outer, 'master', bridge, 'up']);
    return outer;
  }

  /** Run a program in the data-plane namespace; its standard output. */
  async inDataPlane(command: string[]): Promise<string> {
    const enter = ['-t', String(await this.agentPid()), '-m', '-p', 'ip', 'netns', 'exec', 'amphora-haproxy'];
    return (await execute('nsenter', [...enter, ...command])).stdout;
  }

  async stop(): Promise<void> {
    await this.#client?.close();
    await this.#connections?.destroy();
    await this.crash();
    await execute('ip', ['netns', 'delete', this.namespace]).catch(() => {});
    await execute('ip', ['link', 'delete', this.#link]).catch(() => {});
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #connect(): Promise<Agent> {
    const identity = await this.pki.issue('amphorae-controller');
    return new Agent({ connect: { ca: this.pki.ca, ...identity, servername: this.id } });
  }

  async #plugManagement(): Promise<void> {
    const { namespace } = this;
    const ip = (...args: string[]) => execute('ip', args);
    await ip('netns', 'add', namespace);
    await ip('link', 'add', this.#link, 'type', 'veth', 'peer', 'name', 'mgmt0', 'netns', namespace);
    await ip('address', 'add', `${this.#subnet}::1/64`, 'dev', this.#link, 'nodad');
    await ip('link', 'set', this.#link, 'up');
    await ip('-n', namespace, 'address', 'add', `${this.address}/64`, 'dev', 'mgmt0', 'nodad');
    await ip('-n', namespace, 'link', 'set', 'mgmt0', 'up');
  }

  async #writeFiles(settings: object | string): Promise<void> {
    const { cert, key } = await this.pki.issue(this.id);
    const file = (name: string, content: string) =>
      writeFileSync(join(this.directory, name), content, { mode: 0o600 });
    mkdirSync(this.stateDir);
    file('server.pem', `${cert}\n${key}`);
    file('client_ca.pem', this.pki.ca);
    file('agent.json', typeof settings === 'string' ? settings : JSON.stringify(settings));
  }

  async #untilReady(): Promise<void> {
    for (const deadline = Date.now() + 15_000; ; await sleep(10)) {
      try {
        await this.call('GET', '/');
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  async #pids(): Promise<number[]> {
    const inNamespaces = await execute('ip', ['netns', 'pids', this.namespace]).catch(() => ({ stdout: '' }));
    return inNamespaces.stdout.split('\n').filter(Boolean).map(Number);
  }

  async #killAll(): Promise<void> {
    for (let left = await this.#pids(); left.length > 0; left = await this.#pids()) {
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // it ended meanwhile
        }
      }
      await sleep(10);
    }
  }
}

/** `amphora-agent.conf` as Octavia writes it (contract F3). */
export function octaviaConf(
  { id, address, directory }: Pick<TestAmphora, 'id' | 'address' | 'directory'>,
  { controller, key, interval = 1 }: { controller: string; key: string; interval?: number },
): string {
  return `[DEFAULT]
debug = False

[haproxy_amphora]
base_cert_dir = ${STATE_DIR}/certs
base_path = ${STATE_DIR}
bind_host = ${address}
bind_port = ${PORT}
haproxy_cmd = /usr/sbin/haproxy
respawn_count = 2
respawn_interval = 2
user_group = nogroup

[health_manager]
controller_ip_port_list = ${controller}
heartbeat_interval = ${interval}
heartbeat_key = ${key}

[amphora_agent]
agent_server_ca = ${directory}/client_ca.pem
agent_server_cert = ${directory}/server.pem
agent_request_read_timeout = 180
amphora_id = ${id}

[controller_worker]
loadbalancer_topology = SINGLE
`;
}

/** The words of an option in the unit file of the agent. */
function unitOption(name: string): string[] {
  const unit = readFileSync(join(CHECKOUT, 'agent/systemd/amphora-agent.service'), 'utf8');
  return new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1]?.split(' ') ?? [];
}
