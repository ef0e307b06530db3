import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Child, type ChildSpec, type DeathSignal, startChild, whenReady } from '../up/child.ts';

const execute = promisify(execFile);

export interface NamespaceOptions {
  /** Name of the namespace (`ip netns`). */
  name: string;
  /** Linux bridge on which it is plugged. */
  bridge: string;
  /** Its addresses there, with prefix length. */
  addresses: string[];
  env: NodeJS.ProcessEnv;
  /** What its processes get when this one dies; `none` leaves them running until the namespace is removed. */
  deathSignal?: DeathSignal;
}

/** A machine on a network for the price of a network namespace: a client or a backend of a load balancer. */
export class Namespace {
  readonly name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #deathSignal: DeathSignal;

  private constructor(options: NamespaceOptions) {
    this.name = options.name;
    this.#env = options.env;
    this.#deathSignal = options.deathSignal ?? 'KILL';
  }

  /** Make the namespace and plug it; nothing is left when that fails. */
  static async create(options: NamespaceOptions): Promise<Namespace> {
    const { name, bridge, addresses } = options;
    const namespace = new Namespace(options);
    const outer = linkOf(name);
    try {
      await namespace.#ip('netns', 'add', name);
      await namespace.#ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
      await namespace.#ip('link', 'set', outer, 'master', bridge, 'up');
      await namespace.#ip('-n', name, 'link', 'set', 'lo', 'up');
      // Duplicate address detection would keep an IPv6 address unusable for the first seconds.
      for (const address of addresses)
        await namespace.#ip('-n', name, 'address', 'add', address, 'dev', 'eth0', 'nodad');
      await namespace.#ip('-n', name, 'link', 'set', 'eth0', 'up');
      return namespace;
    } catch (error) {
      await namespace.remove();
      throw error;
    }
  }

  /** Run a program in it to its end; its standard output. Rejects when it fails or takes longer than `seconds`. */
  async exec(command: string[], seconds = 10): Promise<string> {
    const { stdout } = await execute('ip', ['netns', 'exec', this.name, ...command], {
      env: this.#env,
      timeout: seconds * 1000,
    });
    return stdout;
  }

  /** GET a URL from it: the body. Rejects on a status of 400 and above, and when there is no answer within `seconds`. */
  curl(url: string, seconds = 5): Promise<string> {
    return this.exec(
      ['curl', '--silent', '--show-error', '--fail', '--globoff', '--max-time', String(seconds), url],
      seconds + 5,
    );
  }

  /** Serve HTTP in it: every request is answered with `text`. Resolves when it listens. */
  async serve(port: number, text: string, log: string): Promise<Child> {
    const backend = join(import.meta.dirname, 'backend.ts');
    const spec: ChildSpec = {
      name: `backend ${text}`,
      command: ['ip', 'netns', 'exec', this.name, process.execPath, backend, String(port), text],
      env: this.#env,
      log,
      deathSignal: this.#deathSignal,
    };
    const child = await startChild(spec);
    await whenReady(child, spec, 10, async () => (await this.curl(`http://127.0.0.1:${port}/`, 1)) && true);
    return child;
  }

  /** Kill what runs in it and remove it with its link. */
  remove(): Promise<void> {
    return removeNamespace(this.name, this.#env);
  }

  #ip(...args: string[]): Promise<unknown> {
    return execute('ip', args, { env: this.#env, timeout: 10_000 });
  }
}

/** Kill what runs in a namespace and remove it with its link; success when there is none. */
export async function removeNamespace(name: string, env: NodeJS.ProcessEnv): Promise<void> {
  const ip = (...args: string[]) =>
    execute('ip', args, { env, timeout: 10_000 }).catch(() => ({ stdout: '' }));
  const { stdout } = await ip('netns', 'pids', name);
  for (const pid of stdout.split('\n').filter(Boolean)) killIfRunning(Number(pid));
  await ip('netns', 'delete', name);
  // The kernel removes the link with its peer, but somewhat later: the name must be free again.
  await ip('link', 'delete', linkOf(name));
}

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended meanwhile
  }
}

/** Interface names have at most 15 characters, namespaces may have longer ones. */
function linkOf(name: string): string {
  return `v${createHash('sha256').update(name).digest('hex').slice(0, 12)}`;
}
