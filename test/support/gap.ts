import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Namespace } from '../../src/cli/demo/namespace.ts';

/**
 * The longest time, in milliseconds, that a client in a namespace had no answer from each address while `work` was done.
 * `work` resolves when things are as they shall be; then one more answer of each is waited for.
 * @param targets `192.0.2.7:80` or `[2001:db8::7]:80`; they have to answer within 15 s before work begins
 */
export async function longestGaps(
  client: Namespace,
  targets: string[],
  work: () => Promise<void>,
): Promise<Record<string, number>> {
  const program = [process.execPath, join(import.meta.dirname, 'gap-client.ts'), ...targets];
  const asking = spawn('ip', ['netns', 'exec', client.name, ...program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(asking.stdout);
  const nextLine = async () => {
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(15_000) });
    return String(line);
  };
  try {
    await nextLine();
    await work();
    const result = nextLine();
    asking.stdin.end();
    return JSON.parse(await result);
  } finally {
    asking.kill('SIGKILL');
  }
}
