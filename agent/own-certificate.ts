import { createPrivateKey, X509Certificate } from 'node:crypto';
import { AgentError } from './errors.ts';
import { writeAtomically } from './files.ts';

/**
 * Store the agent's own certificate and key (one PEM text), once it is sure that the controller will believe them: they
 * belong together, name this amphora, and hold today. A wrong one would shut everybody out.
 * @throws AgentError 400; what was stored before stays
 */
export async function writeOwnCertificate(path: string, pem: string, amphoraId: string): Promise<void> {
  const problem = problemOf(pem, amphoraId);
  if (problem) throw new AgentError(400, 'Invalid request', { details: `body: ${problem}` });
  await writeAtomically(path, pem);
}

function problemOf(pem: string, amphoraId: string): string | undefined {
  let certificate: X509Certificate;
  let belongs: boolean;
  try {
    certificate = new X509Certificate(pem);
    belongs = certificate.checkPrivateKey(createPrivateKey(pem));
  } catch {
    return 'must be a certificate and its private key in PEM';
  }
  if (!belongs) return 'the key is not the certificate’s';
  if (!certificate.checkHost(amphoraId, { wildcards: false }))
    return `the certificate does not name ${amphoraId}`;
  const now = Date.now();
  if (now < certificate.validFromDate.getTime() || now > certificate.validToDate.getTime()) {
    return `the certificate holds from ${certificate.validFrom} to ${certificate.validTo} only`;
  }
  return undefined;
}
