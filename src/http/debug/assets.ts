import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { Hono } from 'hono';
import { chartStyle } from '../../visualizer/svg.ts';
import { notFound } from '../fault.ts';

interface Asset {
  body: string;
  type: string;
  etag: string;
}

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const folder = join(import.meta.dirname, 'assets');
const assets = new Map<string, Asset>(
  [
    ...readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const),
    ['chart.css', chartStyle] as const,
  ].map(([name, body]) => [
    name,
    {
      body,
      type: types[extname(name)] ?? 'application/octet-stream',
      etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    },
  ]),
);

/** Where an asset is served; scripts import each other by relative names. */
export function assetUrl(name: string): string {
  if (!assets.has(name)) throw new Error(`there is no asset ${name}`);
  return `/debug/assets/${name}`;
}

/** The style sheets and scripts of the pages, as they are. Browsers ask each time whether theirs are still good. */
export function assetRoutes(): Hono {
  const routes = new Hono();
  routes.get('/:name', (context) => {
    const name = context.req.param('name');
    const asset = assets.get(name);
    if (asset === undefined) throw notFound('Page', name);
    const headers = {
      'Content-Type': asset.type,
      'Cache-Control': 'no-cache',
      ETag: asset.etag,
      'X-Content-Type-Options': 'nosniff',
    };
    if (context.req.header('if-none-match') === asset.etag) return context.body(null, 304, headers);
    return context.body(asset.body, 200, headers);
  });
  return routes;
}
