import { BlockList, isIP } from 'node:net';
import type { Config } from '../../config.ts';
import { TerminalError } from '../../model/errors.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Refuse settings under which everybody could use the API.
 * @throws TerminalError `open_to_everybody`
 */
export function checkExposure({ auth, auth_none_anywhere, listen }: Config): void {
  if (auth !== 'none' || auth_none_anywhere || isLoopback(listen)) return;
  throw new TerminalError(
    'open_to_everybody',
    `without authentication, everyone who reaches ${listen} could do everything: ` +
      'set auth to keystone, listen on 127.0.0.1, or say auth_none_anywhere if that is what you want',
  );
}

function isLoopback(listen: string): boolean {
  const host = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  const family = isIP(host);
  return host === 'localhost' || (family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4'));
}
