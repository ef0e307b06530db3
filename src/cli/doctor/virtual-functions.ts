import * as z from 'zod';
import { AmphoraeError } from '../../model/errors.ts';
import type { Call } from '../../providers/call.ts';
import { OpenstackNetwork } from '../../providers/openstack/neutron.ts';
import type { Services } from '../../providers/openstack/services.ts';
import { type Finding, ok, warn } from './check.ts';

const NAME = 'virtual functions';
/** What Placement calls a VF of a NIC. */
const RESOURCE_CLASS = 'SRIOV_NET_VF';

const Candidates = z.object({
  provider_summaries: z.record(
    z.string(),
    z.object({
      resources: z.record(z.string(), z.object({ capacity: z.number().int(), used: z.number().int() })),
    }),
  ),
});

type Cloud = Pick<Services, 'neutron' | 'placement'> & { call: Call };

/** Where VFs are, how many amphorae have, and how many are free as far as the cloud tells. */
export async function checkVirtualFunctions(cloud: Cloud): Promise<Finding> {
  const [nics, used, free] = await Promise.all([listNics(cloud), countUsed(cloud), describeFree(cloud)]);
  if (nics.length === 0) {
    return warn(
      NAME,
      'no host reports an SR-IOV NIC',
      'for VIPs and members on VFs, run neutron-sriov-agent where the NICs are (docs/sr-iov.md)',
    );
  }
  const networks = [...new Set(nics.flatMap(({ networks }) => networks))].sort().join(', ');
  return ok(
    NAME,
    `${nics.length} hosts have SR-IOV NICs in ${networks}; amphorae use ${used}; free: ${free}`,
  );
}

async function listNics({ neutron, call }: Cloud): Promise<{ networks: string[] }[]> {
  const query = { agent_type: 'NIC Switch agent' };
  const order = { method: 'GET', path: '/agents', query, purpose: 'list agents' } as const;
  const Agent = z.object({
    alive: z.boolean(),
    configurations: z.object({ device_mappings: z.record(z.string(), z.unknown()).default({}) }),
  });
  const { agents } = await neutron.send(call, order, z.object({ agents: z.array(Agent) }));
  return agents
    .filter(({ alive }) => alive)
    .map(({ configurations }) => ({ networks: Object.keys(configurations.device_mappings) }));
}

async function countUsed({ neutron, call }: Cloud): Promise<number> {
  const ports = await new OpenstackNetwork(neutron).listPorts({}, call);
  return ports.filter(({ vnicType, deviceId }) => vnicType === 'direct' && deviceId !== null).length;
}

/** Only Placement can tell. */
async function describeFree({ placement, call }: Cloud): Promise<string> {
  const query = { resources: `${RESOURCE_CLASS}:1` };
  const purpose = `find free ${RESOURCE_CLASS}`;
  const order = { method: 'GET', path: '/allocation_candidates', query, purpose } as const;
  try {
    const { provider_summaries } = await placement.send(call, order, Candidates);
    const stocks = Object.values(provider_summaries).flatMap(
      ({ resources }) => resources[RESOURCE_CLASS] ?? [],
    );
    const free = stocks.reduce((sum, { capacity, used }) => sum + capacity - used, 0);
    if (free > 0) return `${free}, says Placement`;
    return `unknown, because Placement has no free ${RESOURCE_CLASS}, and Nova does not tell it of VFs that have a physical_network`;
  } catch (error) {
    if (!(error instanceof AmphoraeError)) throw error;
    return `unknown, because Placement cannot be asked: ${error.message}`;
  }
}
