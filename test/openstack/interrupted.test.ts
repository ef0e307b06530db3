// timeout: 300
import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ServiceCall } from '../../src/keystone/service.ts';
import { NoopAgent } from '../../src/providers/noop/agent.ts';
import { createOpenstackProvider } from '../../src/providers/openstack/provider.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { Operator } from './cloud.ts';

// A controller dies right after the cloud has done what it asked for; the next one, which knows nothing of it, goes on.

let operator: Operator;
let networkId: string;
/** Cuts off what the first controller does once it has made this call. */
let fatal: ((call: ServiceCall) => boolean) | undefined;
let death = new AbortController();
let first: Provider;
let next: Provider;

test.before(async () => {
  operator = new Operator();
  networkId = (await operator.network({ physicalNetwork: 'physnet2', cidr: '10.80.0.0/24' })).networkId;
  const management = await operator.network({ physicalNetwork: 'physnet1', cidr: '10.81.0.0/24' });
  const options = await operator.providerOptions(management.networkId);
  first = createOpenstackProvider({
    agent: new NoopAgent(),
    options: { ...options, onCall: (call) => fatal?.(call) && death.abort() },
  });
  next = createOpenstackProvider({ agent: new NoopAgent(), options });
});
test.after(async () => {
  await first?.close();
  await next?.close();
  await operator?.close();
});

const call = () => ({ signal: AbortSignal.timeout(120_000) });

/** Run it in the first controller, which dies with the call that makes something at this path. */
async function interrupted(
  path: string,
  work: (call: { signal: AbortSignal }) => Promise<unknown>,
): Promise<void> {
  death = new AbortController();
  fatal = ({ method, path: made }) => method === 'POST' && made === path;
  const end = await work({ signal: death.signal }).catch((error: { code: string }) => error.code);
  fatal = undefined;
  assert.ok(death.signal.aborted, String(end));
}

test('a port that a dead controller made is found by its name, and there is one', async () => {
  const name = `octavia-lb-vrrp-${randomUUID()}`;
  const spec = { name, networkId, vnicType: 'direct', adminStateUp: true } as const;
  await interrupted('/ports', (dying) => first.network.createPort(spec, dying));
  const { id } = await next.network.createPort(spec, call());
  const ports = await next.network.listPorts({ namePrefix: name }, call());
  assert.equal(
    ports.map((port) => port.id),
    [id],
  );
  await next.network.deletePort(id, call());
});

test('a server that a dead controller asked for is found by its name, and there is one', async () => {
  const amphoraId = randomUUID();
  const port = await next.network.createPort(
    { name: `octavia-lb-vrrp-${amphoraId}`, networkId, vnicType: 'direct', adminStateUp: true },
    call(),
  );
  const spec = {
    name: `amphora-${amphoraId}`,
    amphoraId,
    loadBalancerId: randomUUID(),
    antiAffinityGroup: `octavia-lb-${amphoraId}`,
    portIds: [port.id],
    files: async () => ({ '/etc/octavia/amphora-agent.json': '{}' }),
  };
  await interrupted('/servers', (dying) => first.compute.create(spec, dying));
  const server = await next.compute.create(spec, call());
  const servers = await next.compute.list({ name: spec.name }, call());
  assert.equal(
    servers.map(({ id }) => id),
    [server.id],
  );
  // Everything of ours is found without its name as well: that is how orphans are.
  assert.ok((await next.compute.list({}, call())).some(({ id }) => id === server.id));
  assert.ok(
    (await next.network.listPorts({ namePrefix: 'octavia-lb-' }, call())).some(({ id }) => id === port.id),
  );
  await next.compute.delete(server.id, call());
  await next.network.deletePort(port.id, call());
  await next.compute.deleteAntiAffinityGroup?.(spec.antiAffinityGroup, call());
  assert.equal(await operator.remains(), []);
});

test.run();
