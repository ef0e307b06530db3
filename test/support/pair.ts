import { execFileSync } from 'node:child_process';
import { waitFor } from '../../src/cli/up/wait.ts';
import { namespaceName } from '../../src/providers/netns/names.ts';
import { initOf } from '../../src/providers/netns/processes.ts';
import { longestGaps } from './gap.ts';
import { amphoraeOf, inAmphora, type Stand, webListener } from './stand.ts';
import type { LoadBalancer } from './system.ts';

/** A load balancer with two amphorae, and what may happen to them. */
export class Pair {
  readonly id: string;
  readonly vips: string[];
  readonly #stand: Stand;

  private constructor(stand: Stand, balancer: LoadBalancer) {
    this.#stand = stand;
    this.id = balancer.id;
    const additional = balancer.additional_vips as { ip_address: string }[];
    this.vips = [balancer.vip_address, ...additional.map(({ ip_address }) => ip_address)];
  }

  /** One with a web listener on port 80 that keeps each client with its member, ACTIVE. */
  static async create(stand: Stand, body: object, family: 4 | 6 = 4): Promise<Pair> {
    const { default_pool: pool, ...listener } = webListener(stand, {}, family) as { default_pool: object };
    const session_persistence = { type: 'SOURCE_IP' };
    const balancer = await stand.create({
      ...body,
      flavor_id: await pairFlavor(stand),
      listeners: [{ ...listener, default_pool: { ...pool, session_persistence } }],
    });
    if (balancer.provisioning_status !== 'ACTIVE') throw new Error(JSON.stringify(balancer));
    return new Pair(stand, balancer);
  }

  async amphorae(): Promise<string[]> {
    return (await amphoraeOf(this.#stand, this.id)).map(({ id }) => id);
  }

  /** The one amphora that holds all VIPs. */
  holder(): Promise<string> {
    return waitFor('one amphora to hold the VIPs', 15, async () => {
      const holders = (await this.amphorae()).filter((id) => this.holds(id));
      return holders.length === 1 ? holders[0] : undefined;
    });
  }

  holds(amphora: string): boolean {
    const addresses = tryIn(amphora, ['ip', '-brief', 'address', 'show', 'dev', 'eth1']);
    return this.vips.every((vip) => addresses.includes(` ${vip}/`));
  }

  /** Strike the amphora that holds the VIPs, and wait until the other one does: how long a client missed each, in ms. */
  async gapsWhen(strike: (holder: string) => void): Promise<Record<string, number>> {
    const holder = await this.holder();
    const other = (await this.amphorae()).find((id) => id !== holder) ?? '';
    return longestGaps(this.#stand.client, this.urls, async () => {
      strike(holder);
      await waitFor('the VIPs to move', 15, async () => this.holds(other) || undefined);
    });
  }

  /** Where its listener is, for `longestGaps`. */
  get urls(): string[] {
    return this.vips.map((vip) => (vip.includes(':') ? `[${vip}]:80` : `${vip}:80`));
  }
}

/** Signal every process of that name inside an amphora. */
export function signal(amphora: string, name: 'KILL' | 'TERM' | 'STOP' | 'CONT', program: string): void {
  inAmphora(amphora, ['pkill', `-${name}`, '--exact', program]);
}

/** Have the agent stand still, or go on; what it has started is not touched. */
export function signalAgent(amphora: string, name: 'STOP' | 'CONT'): void {
  inAmphora(amphora, ['pkill', `-${name}`, '--full', '\\.(ts|js) --config']);
}

export function runs(amphora: string, program: string): boolean {
  return tryIn(amphora, ['pgrep', '--exact', program]) !== '';
}

/** End all of an amphora at once, as a host's failure does. */
export function killAmphora(amphora: string): void {
  process.kill(initOf(namespaceName(amphora)) as number, 'SIGKILL');
}

/** The host's end of an amphora's VIP port. */
export function hostLinkOf(amphora: string): string {
  const [own] = JSON.parse(inAmphora(amphora, ['ip', '-json', 'link', 'show', 'dev', 'eth1']));
  const links = JSON.parse(execFileSync('ip', ['-json', 'link', 'show'], { encoding: 'utf8' }));
  return links.find(({ ifindex }: { ifindex: number }) => ifindex === own.link_index).ifname;
}

export function setLink(name: string, state: 'up' | 'down'): void {
  execFileSync('ip', ['link', 'set', name, state]);
}

function tryIn(amphora: string, command: string[]): string {
  try {
    return inAmphora(amphora, command);
  } catch {
    // it does not run, or the program found nothing
    return '';
  }
}

async function pairFlavor({ system }: Stand): Promise<string> {
  type Named<Key extends string> = Record<Key, { id: string }>;
  const { flavors } = await system.api<{ flavors: { id: string; name: string }[] }>(
    'GET',
    '/v2.0/lbaas/flavors',
  );
  const known = flavors.find(({ name }) => name === 'pair');
  if (known) return known.id;
  const { flavorprofile } = await system.api<Named<'flavorprofile'>>('POST', '/v2.0/lbaas/flavorprofiles', {
    flavorprofile: {
      name: 'pair',
      provider_name: 'amphora',
      flavor_data: '{"loadbalancer_topology": "ACTIVE_STANDBY"}',
    },
  });
  const { flavor } = await system.api<Named<'flavor'>>('POST', '/v2.0/lbaas/flavors', {
    flavor: { name: 'pair', flavor_profile_id: flavorprofile.id },
  });
  return flavor.id;
}
