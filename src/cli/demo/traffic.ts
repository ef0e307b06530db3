import { TerminalError } from '../../model/errors.ts';
import type { Namespace } from './namespace.ts';
import type { Note } from './progress.ts';

/** Send `count` requests, one after the other. Resolves with how many each backend answered; rejects on any failure. */
export async function sendRequests(
  client: Namespace,
  url: string,
  count: number,
  note: Note,
): Promise<Map<string, number>> {
  const answers = new Map<string, number>();
  for (let number = 1; number <= count; number += 1) {
    note(`${number} of ${count}`);
    const backend = (await client.curl(url)).trim();
    answers.set(backend, (answers.get(backend) ?? 0) + 1);
  }
  return answers;
}

/** Resolves when the URL gives no answer at all, as a closed port behind a default-drop firewall must. */
export async function expectNoAnswer(client: Namespace, url: string): Promise<void> {
  const answer = await client.curl(url, 1).catch(() => undefined);
  if (answer !== undefined) throw new TerminalError('port_open', `${url} answered, but no listener is there`);
}
