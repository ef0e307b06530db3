import type { ConnectionOptions } from 'nats';

/**
 * Connection options from a `nats://user:password@host:port` URL (several, separated by commas, share the credentials
 * of the first). The client itself ignores credentials in URLs.
 */
export function natsOptions(url: string): Pick<ConnectionOptions, 'servers' | 'user' | 'pass'> {
  const urls = url.split(',').map((text) => new URL(text.includes('://') ? text : `nats://${text}`));
  const { username, password } = urls[0] as URL;
  return {
    servers: urls.map(({ host }) => host),
    ...(username && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
  };
}
