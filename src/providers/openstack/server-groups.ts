import * as z from 'zod';
import { type Service, segment } from '../../keystone/service.ts';
import type { Call } from '../call.ts';
import { Recent } from './recent.ts';

const Group = z.object({ id: z.string(), name: z.string() });
const OneGroup = z.object({ server_group: Group });
const Groups = z.object({ server_groups: z.array(Group) });
const PAGE = 500;
/** Long enough for the amphorae of one load balancer to be placed with one look. */
const REMEMBER_MS = 10_000;

/** Server groups of Nova, by name. Nova has no filter for names, so the list is read. */
export class ServerGroups {
  readonly #nova: Service;
  readonly #policy: string;
  readonly #ids = new Recent<string>(REMEMBER_MS);

  /** @param policy `anti-affinity` or `soft-anti-affinity` */
  constructor(nova: Service, policy: string) {
    this.#nova = nova;
    this.#policy = policy;
  }

  /** Id of the group of that name, which is made if there is none. */
  async ensure(name: string, call: Call): Promise<string> {
    const id = await this.#ids.get(name, async () => {
      const [known] = await this.#named(name, call);
      if (known) return known.id;
      const body = { server_group: { name, policies: [this.#policy] } };
      const order = { method: 'POST', path: '/os-server-groups', body } as const;
      const purpose = `create server group ${name}`;
      const made = await this.#nova.send(call, { ...order, purpose }, OneGroup);
      return made.server_group.id;
    });
    return id as string;
  }

  async delete(name: string, call: Call): Promise<void> {
    for (const { id } of await this.#named(name, call)) {
      const order = { method: 'DELETE', path: `/os-server-groups/${segment(id)}` } as const;
      await this.#nova.find(call, { ...order, purpose: `delete server group ${name}` }, z.unknown());
    }
  }

  /** Names of all groups of our project. */
  async list(call: Call): Promise<string[]> {
    return (await this.#all(call)).map(({ name }) => name);
  }

  async #named(name: string, call: Call) {
    return (await this.#all(call)).filter((group) => group.name === name);
  }

  async #all(call: Call) {
    const found: z.output<typeof Group>[] = [];
    for (let offset = 0; ; offset += PAGE) {
      const query = { limit: String(PAGE), offset: String(offset) };
      const order = {
        method: 'GET',
        path: '/os-server-groups',
        query,
        purpose: 'list server groups',
      } as const;
      const { server_groups } = await this.#nova.send(call, order, Groups);
      found.push(...server_groups);
      if (server_groups.length < PAGE) return found;
    }
  }
}
