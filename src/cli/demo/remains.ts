import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { programEnvironment } from '../../config.ts';
import { removeNamespace } from './namespace.ts';

const FILE = 'demo.json';

/** Write down the namespaces that a demo is about to make, so that whoever cleans up knows them. */
export function recordNamespaces(dataDir: string, names: string[]): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  writeFileSync(join(dataDir, FILE), JSON.stringify(names));
}

/** Remove the clients and backends that a demo with this data directory left. */
export async function removeNamespaces(dataDir: string): Promise<void> {
  for (const name of recordedNamespaces(dataDir)) await removeNamespace(name, programEnvironment());
  rmSync(join(dataDir, FILE), { force: true });
}

function recordedNamespaces(dataDir: string): string[] {
  try {
    return JSON.parse(readFileSync(join(dataDir, FILE), 'utf8')) as string[];
  } catch {
    return []; // there was no demo
  }
}
