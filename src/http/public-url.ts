import type { Context, MiddlewareHandler } from 'hono';

declare module 'hono' {
  interface ContextVariableMap {
    /** What clients reach the API by, where that is not what reaches us; without a slash at its end. */
    publicBase: string;
  }
}

/** Have links say how clients reach the API. @param base empty: as the request says */
export function servedAt(base: string): MiddlewareHandler {
  const publicBase = base.replace(/\/+$/, '');
  return (context, next) => {
    context.set('publicBase', publicBase);
    return next();
  };
}

/** The address of a path as the client would write it (contract A1). @param path default: that of the request, with its query */
export function publicUrl(context: Context, path?: string): URL {
  const { origin, pathname, search } = new URL(context.req.url);
  return new URL(`${context.get('publicBase') || origin}${path ?? pathname + search}`);
}
