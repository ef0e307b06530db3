import type { Context } from 'hono';
import * as z from 'zod';
import { badRequest, Fault, invalidInput } from './fault.ts';

declare module 'hono' {
  interface ContextVariableMap {
    body: { value: unknown } | undefined;
  }
}

/** Largest request body, in bytes: a load balancer with some 5,000 members in one POST. */
export const BODY_LIMIT = 1_048_576;

/** A load balancer with everything nested in it has about ten levels. */
const DEPTH_LIMIT = 20;
/** More members than `BODY_LIMIT` has room for. */
const LENGTH_LIMIT = 10_000;

/**
 * Read a request body `{"<root>": {...}}` and check it.
 * @throws Fault 400 that names the attribute, 415 for another content type.
 */
export async function readBody<T extends z.ZodType>(
  context: Context,
  root: string,
  schema: T,
): Promise<z.output<T>> {
  checkContentType(context.req.header('content-type'));
  // The outer object is new each time, and compiling it takes longer than reading without.
  const parsed = z
    .strictObject({ [root]: schema })
    .safeParse(await parsedBody(context), { reportInput: true, jitless: true });
  if (parsed.success) return parsed.data[root] as z.output<T>;
  const [issue] = parsed.error.issues;
  throw issue ? toInvalidInput(issue, root) : badRequest('Invalid request body.');
}

/** The parsed body for whoever has to look at it before it is checked; undefined where it is not JSON. */
export async function peekBody(context: Context): Promise<unknown> {
  try {
    return await parsedBody(context);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** Parsed once: what was looked at is what is done. */
async function parsedBody(context: Context): Promise<unknown> {
  const known = context.get('body');
  if (known !== undefined) return known.value;
  const value = parseJson(await context.req.text());
  checkSize(value);
  context.set('body', { value });
  return value;
}

/** Refuse what is nested deeper, or has longer lists, than any sound request: checking it could take long. */
function checkSize(body: unknown): void {
  let level = [body];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEPTH_LIMIT)
      throw badRequest(`The request body is nested deeper than ${DEPTH_LIMIT} levels.`);
    level = level.flatMap((value) => {
      if (typeof value !== 'object' || value === null) return [];
      const parts = Object.values(value);
      if (parts.length > LENGTH_LIMIT) {
        throw badRequest(`A list in the request body has more than ${LENGTH_LIMIT} entries.`);
      }
      return parts;
    });
  }
}

function checkContentType(header: string | undefined): void {
  const type = header?.split(';')[0]?.trim().toLowerCase();
  if (type === undefined || type === '' || type === 'application/json') return;
  if (type === 'application/x-www-form-urlencoded' || type === 'multipart/form-data') {
    throw badRequest('Form encoding is not supported. Send application/json.');
  }
  throw new Fault(415, `Unsupported content type ${type}. Send application/json.`);
}

function parseJson(text: string): unknown {
  if (text.trim() === '') throw badRequest('The request has no body.');
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest('The request body is not valid JSON.');
  }
}

/** One zod issue in the words of Octavia. Attributes of nested objects are named by their path. */
function toInvalidInput(issue: z.core.$ZodIssue, root: string): Fault {
  if (issue.code === 'invalid_union') {
    // Alternatives begin with the one that says most about what is wrong.
    const [first] = issue.errors[0] ?? [];
    if (first !== undefined) return toInvalidInput({ ...first, path: [...issue.path, ...first.path] }, root);
  }
  // The root goes without saying, unless it is a list.
  const path = typeof issue.path[1] === 'string' ? issue.path.slice(1) : issue.path;
  const name = path.map(String).join('.') || root;
  if (issue.code === 'unrecognized_keys') {
    const parent = issue.path.length === 0 ? 'the request body' : issue.path.map(String).join('.');
    return badRequest(`Unknown attribute for ${parent}: ${issue.keys.join(', ')}.`);
  }
  return invalidInput(name, issue.input, reasonOf(issue));
}

function reasonOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'Mandatory field missing.'
        : `Wrong type. Expected ${issue.expected}, got ${typeOf(issue.input)}.`;
    case 'invalid_value':
      return issue.input === undefined
        ? 'Mandatory field missing.'
        : `Value should be one of: ${issue.values.join(', ')}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `Value should have a maximum character requirement of ${issue.maximum}`
        : `Value should be lower or equal to ${issue.maximum}`;
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `Value should have a minimum length of ${issue.minimum}`
        : `Value should be greater or equal to ${issue.minimum}`;
    case 'invalid_format':
      return issue.format === 'guid' ? 'Value should be UUID format' : issue.message;
    default:
      return issue.message;
  }
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
