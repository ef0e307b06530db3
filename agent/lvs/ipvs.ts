import { existsSync } from 'node:fs';
import { run } from '../command.ts';
import { AgentError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { IpvsState } from './report.ts';

/** Counts bytes, which the kernel tells nobody else. */
const IPVSADM = '/usr/sbin/ipvsadm';

const SETTINGS = '/proc/sys/net/ipv4/vs';

/** The kernel's load balancer (IPVS) in the data-plane namespace. */
export class Ipvs {
  readonly #namespace: Pick<Namespace, 'configure' | 'run'>;

  constructor(namespace: Pick<Namespace, 'configure' | 'run'>) {
    this.#namespace = namespace;
  }

  /**
   * Make the kernel ready to forward datagrams to members and their answers to clients. The firewall alone decides what is
   * forwarded. Repeating it changes nothing.
   * @throws AgentError 500 `no_ipvs` where the kernel cannot
   */
  async enable(): Promise<void> {
    // Absent where the kernel has it built in, or not at all; what counts is what is there then.
    if (!existsSync(SETTINGS)) await run('/usr/sbin/modprobe', ['ip_vs']).catch(() => {});
    // Asked in the namespace: the agent's own may have it.
    const present = await this.#namespace.run('/usr/bin/test', ['-d', SETTINGS]).then(
      () => true,
      () => false,
    );
    if (!present) {
      throw new AgentError(500, 'Error starting keepalived', {
        details: 'this kernel has no IPVS, which UDP and SCTP listeners need',
        code: 'no_ipvs',
      });
    }
    await this.#namespace.configure({
      '1': [
        '/proc/sys/net/ipv4/ip_forward',
        '/proc/sys/net/ipv6/conf/all/forwarding',
        // The source is translated as well, which the kernel's connection tracking does.
        `${SETTINGS}/conntrack`,
        // Datagrams go to another member as soon as theirs is gone.
        `${SETTINGS}/expire_nodest_conn`,
        `${SETTINGS}/expire_quiescent_template`,
      ],
    });
  }

  /** What it forwards, to whom, and how much. Undefined where the kernel cannot. */
  async state(): Promise<IpvsState | undefined> {
    const table = await this.#namespace.run('/usr/bin/cat', ['/proc/net/ip_vs']).catch(() => undefined);
    if (table === undefined) return undefined;
    const list = ['--list', '--numeric', '--stats', '--exact'];
    return { table, statistics: await this.#namespace.run(IPVSADM, list).catch(() => '') };
  }
}
