import type { AgentTarget } from '../../amphora-api/client.ts';
import type { Provider } from '../provider.ts';
import { NoopAgent } from './agent.ts';
import { NoopCompute } from './compute.ts';
import { Failures } from './failures.ts';
import { NoopNetwork } from './network.ts';

export interface NoopProvider extends Provider {
  name: 'noop';
  /** Change what fails while the provider is in use. */
  failures: Failures;
  /** What each amphora was told. */
  amphora: NoopAgent['amphora'];
}

/**
 * A provider that remembers and answers at once: everything of the control plane is real except compute and network.
 * @param options.failures entries of the setting `noop_fail`.
 * @param options.agentRequests sees every agent call before it is checked.
 * @param options.permissive see `NoopNetwork`.
 */
export function createNoopProvider(
  options: {
    failures?: readonly string[];
    agentRequests?: (verb: string, target: AgentTarget) => void;
    permissive?: boolean;
  } = {},
): NoopProvider {
  const failures = new Failures(options.failures);
  const network = new NoopNetwork(options);
  const agent = new NoopAgent(options.agentRequests);
  return {
    name: 'noop',
    pace: { bootLookMs: 250, plugMs: 0 },
    compute: failures.applyTo(new NoopCompute(network, agent)),
    network: failures.applyTo(network),
    agent: failures.applyTo(agent),
    failures,
    amphora: (amphoraId) => agent.amphora(amphoraId),
    lvs: async () => true,
    close: async () => {},
  };
}
