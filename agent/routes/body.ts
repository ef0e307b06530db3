import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import { AgentError } from '../errors.ts';

export const OK = { message: 'OK' } as const;

/** @throws AgentError 400 when the body is not JSON */
export async function readJson(context: Context): Promise<unknown> {
  try {
    return await context.req.json();
  } catch (error) {
    throw new AgentError(400, 'Invalid request', { details: `body: not JSON: ${(error as Error).message}` });
  }
}

/** Answer an upload, or show what was uploaded: the `ETag` is the MD5 of the text, as Octavia expects. */
export function setEtag(context: Context, text: string): void {
  context.header('ETag', md5(text));
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
