import { createHash } from 'node:crypto';
import type { AgentClient, AgentTarget } from '../amphora-api/client.ts';

/**
 * Make sure that an amphora has these files of TLS material. Resolves with what removes the others: that has to wait until
 * haproxy no longer refers to them.
 * @param files name -> content
 */
export async function pushCertificates(
  agent: AgentClient,
  target: AgentTarget,
  loadBalancerId: string,
  files: ReadonlyMap<string, string>,
): Promise<() => Promise<void>> {
  const stored = await agent.listCertificates(target, loadBalancerId);
  for (const [name, content] of files) {
    const digest = createHash('md5').update(content).digest('hex');
    if (stored[name] !== digest) await agent.uploadCertificate(target, loadBalancerId, name, content);
  }
  const unused = Object.keys(stored).filter((name) => !files.has(name));
  return async () => {
    for (const name of unused) await agent.deleteCertificate(target, loadBalancerId, name);
  };
}
