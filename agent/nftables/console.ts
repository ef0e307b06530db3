import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { CommandError } from '../command.ts';
import type { Transaction } from './transaction.ts';

const DEADLINE_MS = 20_000;
/** Before it is replaced: it does not end amid changes, because the kernel lets none begin before it has freed what was replaced. */
const IDLE_MS = 1_000;
/** A question that nft answers by itself, once it is through with all that it was told before. */
const QUESTION = 'describe meta length';
const ANSWER = 'meta expression';

interface Console {
  child: ChildProcessByStdio<Writable, Readable, null>;
  /** What it says, but for its errors. */
  lines: AsyncIterator<string>;
}

/**
 * An nft that waits for what it is to apply, started before there is anything, and tells when it is in force. `nft -f FILE`
 * tells by its end, and ends only when the kernel has freed what was replaced, a grace period of RCU later.
 */
export class NftConsole {
  readonly #command: [string, string[]];
  readonly #transactionPath: string;
  readonly #errorsPath: string;
  #console: Console | undefined;
  #renewal: NodeJS.Timeout | undefined;

  /**
   * @param command starts `nft -i` where the rules belong
   * @param directory of the files that it reads and writes
   */
  constructor(command: [string, string[]], directory: string) {
    this.#command = command;
    this.#transactionPath = join(directory, 'firewall-transaction');
    this.#errorsPath = join(directory, 'firewall-errors');
  }

  /**
   * Have a transaction applied, one at a time; in force when it resolves.
   * @throws CommandError with nft's words, or after 20 s without any
   */
  async apply(transaction: Transaction): Promise<void> {
    if (transaction === '') return;
    clearTimeout(this.#renewal);
    await writeFile(this.#transactionPath, transaction, { mode: 0o600 });
    this.#console ??= this.#start();
    const { child, lines } = this.#console;
    const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    child.stdin.write(`include "${this.#transactionPath}"\n${QUESTION}\n`);
    // Some builds of nft repeat what they are told.
    let line = await lines.next();
    while (!line.done && !line.value.startsWith(ANSWER)) line = await lines.next();
    clearTimeout(deadline);
    const errors = await readFile(this.#errorsPath, 'utf8');
    if (line.done || errors !== '') {
      this.end();
      throw new CommandError(...this.#command, errors.trim(), new Error('it ended before it answered'));
    }
    this.#renewal = setTimeout(() => this.#renew(), IDLE_MS).unref();
  }

  /** Let it go, after what it is doing. */
  end(): void {
    clearTimeout(this.#renewal);
    this.#console?.child.stdin.end();
    this.#console = undefined;
  }

  /** Have another one ready for what comes later: this one keeps the memory that its largest transaction took. */
  #renew(): void {
    this.end();
    this.#console = this.#start();
  }

  #start(): Console {
    // A file, because of two pipes nobody could tell which was written to first.
    const errors = openSync(this.#errorsPath, 'w', 0o600);
    const [file, args] = this.#command;
    // There it can keep no history of its commands.
    const env = { HOME: '/dev/null' };
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', errors], env }) as Console['child'];
    closeSync(errors);
    // Who waits for one that ends, or cannot start, hears no answer.
    child.on('error', () => {});
    child.stdin.on('error', () => {});
    child.once('exit', () => {
      if (this.#console?.child === child) this.#console = undefined;
    });
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  }
}
