import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const END = '\u0004';
/** Where the image's only partition begins. */
const PARTITION_OFFSET = 2_048 * 512;

/** Give an image's disk (raw) a unit that runs what comes over the second serial line: it has no login of its own. */
export async function installGuestShell(disk: string): Promise<void> {
  const source = (name: string) => join(import.meta.dirname, name);
  const commands = [
    'cd /usr/local/sbin',
    `write ${source('guest-shell.sh')} guest-shell.sh`,
    'cd /etc/systemd/system',
    `write ${source('guest-shell.service')} guest-shell.service`,
    'cd multi-user.target.wants',
    'symlink guest-shell.service /etc/systemd/system/guest-shell.service',
  ];
  const debugfs = execute('debugfs', ['-w', '-f', '-', `${disk}?offset=${PARTITION_OFFSET}`]);
  debugfs.child.stdin?.end(`${commands.join('\n')}\n`);
  await debugfs;
}

/** Runs commands inside the machine, one at a time. */
export class GuestShell {
  readonly #socket: Socket;
  readonly #started: Promise<string>;
  #received = '';

  /** @param path of the socket at which QEMU serves the second serial line, before the machine has booted */
  static async connect(path: string): Promise<GuestShell> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    return new GuestShell(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket.setEncoding('utf8');
    this.#socket.on('data', (text: string) => {
      this.#received += text;
    });
    this.#started = this.#answer();
    this.#started.catch(() => {});
  }

  /** What a line of shell writes, to standard output and error. */
  async run(command: string): Promise<string> {
    await this.#started;
    this.#socket.write(`${command}\n`);
    return this.#answer();
  }

  close(): void {
    this.#socket.destroy();
  }

  async #answer(): Promise<string> {
    while (!this.#received.includes(END)) {
      await once(this.#socket, 'data', { signal: AbortSignal.timeout(300_000) });
    }
    const end = this.#received.indexOf(END);
    const answer = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + 1);
    return answer.replaceAll('\r', '');
  }
}
