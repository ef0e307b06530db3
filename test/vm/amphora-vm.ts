import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AgentClient, AgentTarget } from '../../src/amphora-api/client.ts';
import { createAgentClient } from '../../src/amphora-api/undici-client.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { cloudConfig } from '../../src/providers/openstack/cloud-config.ts';
import { createTestPki, type TestPki } from '../support/test-pki.ts';
import { GuestShell, installGuestShell } from './guest-shell.ts';

const execute = promisify(execFile);
/** By emulation, on a busy host. */
const BOOT_DEADLINE_MS = 300_000;

/**
 * The amphora image in a virtual machine, as a cloud boots it: a config drive, a management network, and a port on a bridge
 * of this host. Nothing is written to the image; the copy that boots has a shell for `inside`. `stop` removes all.
 */
export class AmphoraVm {
  readonly id = randomUUID();
  readonly pki: TestPki;
  readonly vipMac = '02:94:00:00:00:01';
  readonly #directory = mkdtempSync(join(tmpdir(), 'amphorae-vm-'));
  readonly #tap = `tq${randomBytes(4).toString('hex')}`;
  #process: ChildProcess | undefined;
  #client: AgentClient | undefined;
  #shell: GuestShell | undefined;
  #port = 0;

  private constructor(pki: TestPki) {
    this.pki = pki;
  }

  /** @param bridge where its port for VIPs is plugged */
  static async start(image: string, bridge: string): Promise<AmphoraVm> {
    const vm = new AmphoraVm(await createTestPki());
    try {
      await vm.#boot(image, bridge);
      return vm;
    } catch (error) {
      await vm.stop();
      throw error;
    }
  }

  get client(): AgentClient {
    if (!this.#client) throw new Error('the machine does not run');
    return this.#client;
  }

  target(): AgentTarget {
    return { amphoraId: this.id, address: '127.0.0.1', epoch: 1, signal: AbortSignal.timeout(60_000) };
  }

  /** A client with a certificate of that authority. */
  async clientOf(pki: TestPki): Promise<AgentClient> {
    const identity = await pki.issue('amphorae-controller');
    return createAgentClient({ ca: this.pki.ca, ...identity, requestSeconds: 30, port: this.#port });
  }

  /** Until the agent answers; seconds since the machine was switched on. */
  async untilReady(): Promise<number> {
    const start = performance.now();
    for (;;) {
      const seconds = (performance.now() - start) / 1_000;
      const answer = await this.client.info(this.target()).catch((error: Error) => error);
      if (!(answer instanceof Error)) return seconds;
      if (this.#process?.exitCode !== null || seconds * 1_000 > BOOT_DEADLINE_MS) {
        throw new Error(`${answer.message}; the console ends with:\n${this.console().slice(-3_000)}`);
      }
      await sleep(200);
    }
  }

  /** What a line of shell writes inside, as root. */
  inside(command: string): Promise<string> {
    if (!this.#shell) throw new Error('the machine does not run');
    return this.#shell.run(command);
  }

  console(): string {
    return readFileSync(this.#file('console'), 'utf8');
  }

  async stop(): Promise<void> {
    await this.#client?.close();
    this.#shell?.close();
    this.#process?.kill('SIGKILL');
    await execute('ip', ['link', 'delete', this.#tap]).catch(() => {});
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #boot(image: string, bridge: string): Promise<void> {
    await this.#makeConfigDrive();
    await execute('ip', ['tuntap', 'add', this.#tap, 'mode', 'tap']);
    await execute('ip', ['link', 'set', this.#tap, 'master', bridge, 'up']);
    await execute('qemu-img', ['convert', '-O', 'raw', image, this.#file('disk')]);
    await installGuestShell(this.#file('disk'));
    this.#port = await freePort();
    writeFileSync(this.#file('console'), '');
    const drive = (name: string) => ['-drive', `file=${this.#file(name)},format=raw,if=virtio`];
    this.#process = spawn(
      'qemu-system-x86_64',
      [
        ...[
          '-nodefaults',
          '-no-reboot',
          '-display',
          'none',
          '-machine',
          'q35',
          '-accel',
          'tcg,thread=multi,tb-size=512',
        ],
        ...['-cpu', 'max', '-m', '1024', '-smp', '2', '-device', 'virtio-rng-pci'],
        ...drive('disk'),
        ...drive('config.iso'),
        ...['-serial', `file:${this.#file('console')}`],
        ...['-serial', `unix:${this.#file('shell')},server=on,wait=off`],
        ...['-netdev', `user,id=management,hostfwd=tcp:127.0.0.1:${this.#port}-:9443`],
        ...['-device', 'virtio-net-pci,netdev=management,romfile='],
        ...['-netdev', `tap,id=vip,ifname=${this.#tap},script=no,downscript=no`],
        ...['-device', `virtio-net-pci,netdev=vip,mac=${this.vipMac},romfile=`],
      ],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    this.#client = await this.clientOf(this.pki);
    this.#shell = await waitFor('QEMU', 20, () => GuestShell.connect(this.#file('shell')));
  }

  /** As Nova makes it: some files by user data, one as an injected file, as controllers of either kind ask for. */
  async #makeConfigDrive(): Promise<void> {
    const { cert, key } = await this.pki.issue(this.id);
    const settings = {
      amphora_id: this.id,
      controller_name: 'amphorae-controller',
      log_level: 'warn',
      topology: 'ACTIVE_STANDBY',
    };
    const drive = this.#file('drive');
    mkdirSync(join(drive, 'openstack/latest'), { recursive: true });
    mkdirSync(join(drive, 'openstack/content'));
    const write = (path: string, text: string) => writeFileSync(join(drive, 'openstack', path), text);
    write(
      'latest/user_data',
      cloudConfig({
        '/etc/octavia/certs/server.pem': `${cert}\n${key}\n`,
        '/etc/octavia/amphora-agent.json': JSON.stringify(settings),
      }),
    );
    const files = [{ path: '/etc/octavia/certs/client_ca.pem', content_path: '/content/0000' }];
    write('latest/meta_data.json', JSON.stringify({ uuid: randomUUID(), name: `amphora-${this.id}`, files }));
    write('content/0000', this.pki.ca);
    const image = ['-as', 'mkisofs', '-quiet', '-V', 'config-2', '-J', '-r', '-o', this.#file('config.iso')];
    await execute('xorriso', [...image, drive]);
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
