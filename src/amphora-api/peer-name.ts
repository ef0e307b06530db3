import { createHash } from 'node:crypto';

/**
 * Name of an amphora's haproxy among its peers (contract E1). haproxy takes no other punctuation in such names than
 * these, and no hyphen in front, where it would look like an option.
 */
export function peerName(amphoraId: string): string {
  const digest = createHash('sha1').update(amphoraId).digest('base64');
  return digest.replaceAll('+', '_').replaceAll('/', '-').replaceAll('=', '').replace(/^-/, 'x');
}
