import { execFile } from 'node:child_process';
import { TransientError } from '../model/errors.ts';
import { malformed } from './pem.ts';

const DEADLINE_MS = 10_000;
/** DER of any PKCS#12: a SEQUENCE, which no PEM text begins with. */
const SEQUENCE = 0x30;

export function looksLikePkcs12(content: Buffer): boolean {
  return content[0] === SEQUENCE;
}

/**
 * What a PKCS#12 bundle without passphrase holds, as PEM. It is read by OpenSSL's command, which knows every encryption
 * that such files come with; content goes through pipes only.
 * @throws TerminalError `secret_malformed`; TransientError `secret_store_unavailable` when there is no openssl
 */
export async function pkcs12ToPem(content: Buffer, env: NodeJS.ProcessEnv): Promise<string> {
  // Files of older tools are encrypted with what OpenSSL 3 reads only when told so.
  const current = await openssl(['pkcs12', '-nodes', '-passin', 'pass:'], content, env);
  const answer =
    current ?? (await openssl(['pkcs12', '-legacy', '-nodes', '-passin', 'pass:'], content, env));
  if (answer === undefined) throw malformed('it is not a PKCS#12 bundle without passphrase');
  return answer;
}

/** Its standard output; undefined when it refuses the input. */
function openssl(args: string[], input: Buffer, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = execFile('openssl', args, { env, timeout: DEADLINE_MS }, (error, stdout) => {
      if (!error) resolve(stdout);
      else if (typeof error.code === 'number') resolve(undefined);
      else reject(new TransientError('secret_store_unavailable', 'could not run openssl', { cause: error }));
    });
    // One that exits before it has read everything is judged by its exit status, not by the broken pipe.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
