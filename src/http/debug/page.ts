import type { Context } from 'hono';
import { html } from 'hono/html';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { assetUrl } from './assets.ts';

/** A piece of a page, made with `html` of `hono/html`, which escapes whatever is put into it. */
export type Fragment = ReturnType<typeof html>;

export interface Page {
  /** What the page is about; also its heading. */
  title: string;
  /** Where in the navigation it belongs. */
  section: Section;
  main: Fragment;
  /** Names of the scripts in `assets/` that it uses, in order. */
  scripts?: string[];
}

export type Section = 'actors' | 'machines';

const sections: Record<Section, { href: string; name: string }> = {
  actors: { href: '/debug/', name: 'Actors' },
  machines: { href: '/debug/machines', name: 'Machines' },
};

/** Nothing inline, nothing from elsewhere, in nobody's frame. */
const headers = {
  'Content-Security-Policy':
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

/** Answer a page of the visualizer: the frame that all share, with `main` in it. */
export async function answerPage(
  context: Context,
  page: Page,
  status: ContentfulStatusCode = 200,
): Promise<Response> {
  return context.html(await frame(page), status, headers);
}

function frame({ title, section, main, scripts = [] }: Page): Fragment {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Amphorae</title>
<link rel="icon" href="${assetUrl('amphora.svg')}">
<link rel="stylesheet" href="${assetUrl('debug.css')}">
<link rel="stylesheet" href="${assetUrl('chart.css')}">
${scripts.map((name) => html`<script type="module" src="${assetUrl(name)}"></script>\n`)}</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<a class="brand" href="/debug/"><img src="${assetUrl('amphora.svg')}" alt="" width="24" height="24">Amphorae</a>
<nav aria-label="Pages">${Object.entries(sections).map(
    ([key, { href, name }]) =>
      html`<a href="${href}"${key === section ? html` aria-current="page"` : ''}>${name}</a>`,
  )}<a href="/docs">REST API</a></nav>
</header>
<main id="main" tabindex="-1">
<h1>${title}</h1>
${main}
</main>
</body>
</html>`;
}
