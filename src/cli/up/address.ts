import { createServer } from 'node:net';
import { TerminalError } from '../../model/errors.ts';

/**
 * Check that `listen` (host:port) is free, so that nobody takes another server's answers for ours. Port 0 becomes a
 * free one. Resolves with the address to use.
 * @throws TerminalError `address_unavailable`
 */
export async function freeAddress(listen: string): Promise<string> {
  const { host, port } = splitAddress(listen);
  const server = createServer();
  const actual = await new Promise<number>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot listen on ${listen}: ${cause.message}; choose another --listen`;
      reject(new TerminalError('address_unavailable', message, { cause }));
    });
    server.listen({ host, port }, () => resolve((server.address() as { port: number }).port));
  });
  await new Promise((resolve) => server.close(resolve));
  return listen.replace(/\d+$/, String(actual));
}

/** URL under which this host reaches what listens on `listen`. */
export function urlOf(listen: string): string {
  const { host, port } = splitAddress(listen);
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

function splitAddress(listen: string): { host: string; port: number } {
  const colon = listen.lastIndexOf(':');
  return { host: listen.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(listen.slice(colon + 1)) };
}
