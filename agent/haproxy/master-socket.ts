import { connect } from 'node:net';

/** What haproxy's master process says about itself and its workers (`show proc`, haproxy 2.6). */
export interface HaproxyProcesses {
  master: number;
  /** Reloads that failed since the last one that succeeded. */
  failedReloads: number;
  workers: number[];
  oldWorkers: number[];
}

const DEADLINE_MS = 5_000;

/** The command line of a haproxy master. One connection for each command, as haproxy wants it. */
export class MasterSocket {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The answer to a command of the master; `@!PID` in front asks that worker. */
  ask(command: string, deadlineMs = DEADLINE_MS): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = '';
      const socket = connect(this.#path);
      socket.setEncoding('utf8');
      socket.setTimeout(deadlineMs, () => socket.destroy(new Error('haproxy does not answer')));
      socket.on('data', (chunk) => {
        answer += chunk;
      });
      socket.once('end', () => resolve(answer));
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('haproxy closed the connection')));
      socket.end(`${command}\n`);
    });
  }

  /** As `ask`, but undefined while nobody answers, as happens during a start or reload. */
  async tryAsk(command: string, deadlineMs?: number): Promise<string | undefined> {
    return this.ask(command, deadlineMs).catch(() => undefined);
  }

  async processes(): Promise<HaproxyProcesses | undefined> {
    const answer = await this.tryAsk('show proc');
    return answer === undefined ? undefined : parseProcesses(answer);
  }

  /** Whether that worker serves: it answers, and has not been told to finish. */
  async isServing(pid: number): Promise<boolean> {
    return /^Stopping: 0$/m.test((await this.tryAsk(`@!${pid} show info`)) ?? '');
  }
}

function parseProcesses(text: string): HaproxyProcesses | undefined {
  const processes: HaproxyProcesses = { master: 0, failedReloads: 0, workers: [], oldWorkers: [] };
  let old = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) old = line.startsWith('# old workers');
    const [, pid, type, failed] = /^(\d+)\s+(master|worker)\s+\d+(?: \[failed: (\d+)\])?/.exec(line) ?? [];
    if (type === 'master') {
      processes.master = Number(pid);
      processes.failedReloads = Number(failed ?? 0);
    } else if (type === 'worker') (old ? processes.oldWorkers : processes.workers).push(Number(pid));
  }
  return processes.master ? processes : undefined;
}
