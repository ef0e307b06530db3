import { Namespace } from '../../src/cli/demo/namespace.ts';

let count = 0;

/**
 * A client or backend on a bridge, for tests. Its name is unique on this host. `remove` it, also after failure.
 * @param addresses with prefix length, for example `198.51.100.10/24`
 */
export function createNamespace(role: string, bridge: string, addresses: string[]): Promise<Namespace> {
  count += 1;
  const name = `amphorae-test-${process.pid}-${role}-${count}`;
  return Namespace.create({ name, bridge, addresses, env: process.env });
}

/** Serve HTTP in it: every request is answered with `text`. */
export function serveText(namespace: Namespace, port: number, text: string) {
  return namespace.serve(port, text, '/dev/null');
}
