// timeout: 600
import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import { NoopAgent } from '../../src/providers/noop/agent.ts';
import { createOpenstackProvider } from '../../src/providers/openstack/provider.ts';
import { providerContract } from '../contract/provider.ts';
import { Operator } from './cloud.ts';

/** Of the physical network, in `stand/`. */
const HOSTS = 2;
const VFS_PER_HOST = 2;

providerContract('openstack', async () => {
  const operator = new Operator();
  const [vip, management] = [
    await operator.network({ physicalNetwork: 'physnet2', cidr: '10.20.0.0/24' }),
    await operator.network({ physicalNetwork: 'physnet1', cidr: '10.21.0.0/24' }),
  ];
  const options = await operator.providerOptions(management.networkId);
  const provider = createOpenstackProvider({ agent: new NoopAgent(), options });
  const call = () => ({ signal: AbortSignal.timeout(120_000) });
  const serverWithVfs = async (count: number) => {
    const ports = await Promise.all(
      Array.from({ length: count }, () =>
        provider.network.createPort(
          {
            name: `port-${randomUUID()}`,
            networkId: vip.networkId,
            fixedIps: [{ subnetId: vip.subnetId }],
            vnicType: 'direct',
            adminStateUp: true,
          },
          call(),
        ),
      ),
    );
    const amphoraId = randomUUID();
    const server = await provider.compute.create(
      {
        name: `amphora-${amphoraId}`,
        amphoraId,
        loadBalancerId: randomUUID(),
        portIds: ports.map(({ id }) => id),
        files: async () => ({}),
      },
      call(),
    );
    return { server, ports };
  };
  return {
    provider,
    networkId: vip.networkId,
    subnetId: vip.subnetId,
    freeAddress: '10.20.0.200',
    portOptions: { securityGroupId: await operator.securityGroup(), qosPolicyId: await operator.qosPolicy() },
    knowsWhatExists: true,
    deadlineMs: 120_000,
    async takeAllVfs() {
      const taken: Awaited<ReturnType<typeof serverWithVfs>>[] = [];
      // One after the other: two that choose the same host at once count as two tries of each.
      while (taken.length < HOSTS) taken.push(await serverWithVfs(VFS_PER_HOST));
      return async () => {
        for (const { server, ports } of taken) {
          await provider.compute.delete(server.id, call());
          for (const port of ports) await provider.network.deletePort(port.id, call());
        }
      };
    },
    async close() {
      await provider.close();
      await operator.close();
    },
  };
});

test.run();
