import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Hono } from 'hono';
import type { Operation } from '../auth/operation.ts';
import { openApiDocument } from './document.ts';

/** `/openapi.json`, and `/docs`, a page that shows it and needs no other host. */
export function openApiRoutes(operations: readonly Operation[]): Hono {
  const routes = new Hono();
  let document: string | undefined;
  // The suffix means nothing here.
  routes.get('/openapi', (context) => {
    // Made when somebody asks: most processes are never asked.
    document ??= JSON.stringify(openApiDocument(operations));
    return context.body(document, 200, { 'Content-Type': 'application/json' });
  });

  const page = readFileSync(join(import.meta.dirname, 'page.html'), 'utf8');
  const [, script = ''] = /<script>(.*)<\/script>/s.exec(page) ?? [];
  const hash = createHash('sha256').update(script).digest('base64');
  const policy = `default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  routes.get('/docs', (context) => context.html(page, 200, { 'Content-Security-Policy': policy }));
  return routes;
}
