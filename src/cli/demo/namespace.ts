import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Child, type ChildSpec, startChild, whenReady } from '../up/child.ts';

const execute = promisify(execFile);

export interface NamespaceOptions {
  /** Name of the namespace (`ip netns`). Its link on the host is named after it: at most 13 characters. */
  name: string;
  /** Linux bridge on which it is plugged. */
  bridge: string;
  /** Its addresses there, with prefix length. */
  addresses: string[];
  env: NodeJS.ProcessEnv;
}

/** A machine on a network for the price of a network namespace: a client or a backend of a load balancer. */
export class Namespace {
  readonly name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #children: Child[] = [];

  private constructor(options: NamespaceOptions) {
    this.name = options.name;
    this.#env = options.env;
  }

  /** Make the namespace and plug it; nothing is left when that fails. */
  static async create(options: NamespaceOptions): Promise<Namespace> {
    const { name, bridge, addresses } = options;
    const namespace = new Namespace(options);
    const outer = `v-${name}`;
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
      deathSignal: 'KILL',
    };
    const child = await startChild(spec);
    this.#children.push(child);
    await whenReady(child, spec, 10, async () => (await this.curl(`http://127.0.0.1:${port}/`, 1)) && true);
    return child;
  }

  /** End what it runs and remove it with its link. */
  async remove(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop('SIGKILL', 0)));
    await this.#ip('netns', 'delete', this.name).catch(() => {});
    // The kernel removes the link with its peer, but somewhat later: the name must be free again.
    await this.#ip('link', 'delete', `v-${this.name}`).catch(() => {});
  }

  async #ip(...args: string[]): Promise<void> {
    await execute('ip', args, { env: this.#env, timeout: 10_000 });
  }
}
