import { AGENT_SETTINGS_FILE } from '../../src/providers/compute.ts';
import type { TestPki } from './test-pki.ts';

/** The files of an amphora whose agent obeys controllers that `pki` certified. */
export async function amphoraFiles(pki: TestPki, amphoraId: string): Promise<Record<string, string>> {
  const { cert, key } = await pki.issue(amphoraId);
  return {
    '/etc/octavia/certs/server.pem': `${cert}\n${key}\n`,
    '/etc/octavia/certs/client_ca.pem': pki.ca,
    [AGENT_SETTINGS_FILE]: JSON.stringify({ amphora_id: amphoraId }),
  };
}
