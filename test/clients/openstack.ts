import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The `openstack` command line of OpenStack's own clients. */
export interface OpenStack {
  /**
   * Run one command and answer what it prints: parsed where it is JSON, which the commands that show something are asked
   * for. Rejects when it exits with another code than 0.
   */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into answers of many shapes.
  run(...words: string[]): Promise<any>;
  /** Those of the client's load-balancer commands that have not run. */
  missed(): Promise<string[]>;
  stop(): Promise<void>;
}

/** How long one command may take, its --wait included. */
const DEADLINE_MS = 60_000;

/** @param environment OS_* variables that say where and who. */
export function startOpenStack(environment: Record<string, string>): OpenStack {
  const child = spawn('/usr/bin/python3', [join(import.meta.dirname, 'run-openstack.py')], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', PYTHONWARNINGS: 'ignore', ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // Who asks a client that has ended hears of it by the missing answer.
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ran: string[] = [];

  const openstack: OpenStack = {
    async missed() {
      const [{ Commands }] = await openstack.run(
        ...'command list --group openstack.load_balancer.v2 -f json'.split(' '),
      );
      return (Commands as string[]).filter((name) => !ran.some((line) => `${line} `.startsWith(`${name} `)));
    },
    async run(...words) {
      ran.push(words.join(' '));
      child.stdin.write(`${JSON.stringify(words)}\n`);
      const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
      const { value } = await lines.next();
      clearTimeout(timer);
      if (value === undefined) throw new Error(`openstack ${words.join(' ')}: no answer`);
      const { code, out, err } = JSON.parse(value) as { code: number; out: string; err: string };
      if (code !== 0) throw new Error(`openstack ${words.join(' ')}: ${err}${out}`);
      return words.includes('json') ? JSON.parse(out) : out;
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
  return openstack;
}
