import { createHash, randomUUID } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import {
  claimRequest,
  forgetRequest,
  keepAnswer,
  type NamedRequest,
  releaseRequest,
} from '../store/idempotency-keys.ts';
import type { Api } from './api.ts';
import { badRequest, conflict, Fault } from './fault.ts';

declare module 'hono' {
  interface ContextVariableMap {
    /** The id that what this request makes has to have. */
    newId: string | undefined;
  }
}

/** The id of the object that a POST makes. A repeated request makes the one that the first would have made. */
export function newId(context: Context): string {
  return context.get('newId') ?? randomUUID();
}

/** Longer than any request takes; whoever repeats one whose process died waits for the rest of it. */
const CLAIM_SECONDS = 90;

/**
 * Requests with the header `Idempotency-Key` are done once: a repeated one gets the first answer. A refused one leaves no
 * trace. The key is claimed with the id of the object before the work begins; so where a process died between doing it and
 * keeping the answer, the next one finds the object instead of making a second.
 * @param look answers a GET of a path as the same caller.
 */
export function idempotent(
  { db }: Api,
  look: (path: string, context: Context) => Promise<Response>,
): MiddlewareHandler {
  return async (context, next) => {
    const key = context.req.header('idempotency-key');
    if (key === undefined) return next();
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw badRequest('Idempotency-Key should be 1 to 255 visible ASCII characters.');
    }
    const request: NamedRequest = {
      projectId: context.get('caller').projectId,
      key,
      request: digest(context.req.path, await context.req.text()),
    };
    const claim = await claimRequest(db, request, { objectId: randomUUID(), seconds: CLAIM_SECONDS });
    switch (claim.kind) {
      case 'other':
        throw new Fault(422, 'The Idempotency-Key was used for another request.');
      case 'running':
        throw conflict('A request with this Idempotency-Key is being processed. Try again later.');
      case 'answered':
        return repeated(claim.body, claim.status);
      case 'ours': {
        if (claim.again) {
          const made = await look(`${context.req.path}/${claim.objectId}`, context);
          if (made.ok) {
            const body = await made.text();
            await keepAnswer(db, request, { status: 201, body });
            return repeated(body, 201);
          }
        }
        context.set('newId', claim.objectId);
        await next();
        await settle(db, request, context.res);
      }
    }
  };
}

async function settle(db: Api['db'], request: NamedRequest, answer: Response): Promise<void> {
  if (answer.ok) await keepAnswer(db, request, { status: answer.status, body: await answer.clone().text() });
  else if (answer.status < 500 || answer.status === 501) await forgetRequest(db, request);
  else await releaseRequest(db, request);
}

function repeated(body: string, status: number): Response {
  return new Response(body, {
    status,
    headers: { 'Content-Type': 'application/json', 'Idempotency-Replayed': 'true' },
  });
}

function digest(path: string, body: string): string {
  return createHash('sha256').update(`${path}\n${body}`).digest('base64');
}
