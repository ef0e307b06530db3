import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Arrow, Box, Caption } from './drawing.ts';
import { type Layout, PADDING, type Point, TITLE_HEIGHT } from './layout.ts';
import { type ChartState, isWithin, parentOf } from './statechart.ts';
import { ROW_HEIGHT } from './text.ts';

/** Rules of style for pictures of charts. They go into a picture that stands alone; a page links them. */
export const chartStyle = readFileSync(join(import.meta.dirname, 'chart.css'), 'utf8');

/** What is marked in a picture. */
export interface Highlight {
  /** The state that is lit, with all around it: `creating.configSync`. */
  state?: string;
  /** Keys of the transitions that were taken last. */
  last?: readonly string[];
}

const HEAD = 7;
const CORNER = 6;
const MARGIN = 8;

/**
 * Draw a chart as SVG. Each state is a `<g data-state="creating.configSync">`, each transition a `<g data-transition="KEY">`, and an
 * arrow has the keys of all that goes over it in `data-carries`: who sets the classes `lit` and `last` there needs no new layout.
 */
export function svgOf(chart: Layout, title: string, highlight: Highlight = {}, style = ''): string {
  const { width, height } = chart;
  const last = new Set(highlight.last);
  const view = `${-MARGIN} ${-MARGIN} ${width + 2 * MARGIN} ${height + 2 * MARGIN}`;
  const svg = joined([
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="${escaped(title)}" viewBox="${view}" width="${width + 2 * MARGIN}" height="${height + 2 * MARGIN}">`,
    style && `<style>${style}</style>`,
    boxSvg(chart, chart.root, highlight.state, last),
    ...chart.arrows.map((arrow) => arrowSvg(chart, arrow, last)),
    '</svg>',
  ]);
  return `${svg}\n`;
}

function boxSvg(chart: Layout, box: Box, lit: string | undefined, last: Set<string>): string {
  const { state, captions, boxes } = box;
  const area = chart.areas.get(state.path);
  if (area === undefined) return '';
  const { x, y, width, height } = area;
  const isLit = lit !== undefined && state.path !== '' && isWithin(lit, state.path);
  const classes = ['state', state.path === '' ? 'machine' : state.kind, isLit && 'lit'].filter(Boolean);
  return joined([
    `<g class="${classes.join(' ')}" data-state="${escaped(state.path)}">`,
    `<rect class="box" x="${x}" y="${y}" width="${width}" height="${height}" rx="8"/>`,
    state.kind === 'final' &&
      `<rect class="inner" x="${x + 3}" y="${y + 3}" width="${width - 6}" height="${height - 6}" rx="6"/>`,
    state.initial && `<circle class="begin" cx="${x}" cy="${y}" r="5"/>`,
    titleSvg(state, x, y, width, captions.length + boxes.length > 0),
    ...captionsSvg(captions, `x="${x + PADDING}"`, y + TITLE_HEIGHT, last),
    ...boxes.map((inner) => boxSvg(chart, inner, lit, last)),
    '</g>',
  ]);
}

/** What there is of the parts, each on its line. */
function joined(parts: (string | false | undefined)[]): string {
  return parts.filter(Boolean).join('\n');
}

function titleSvg(state: ChartState, x: number, y: number, width: number, left: boolean): string {
  const at = left ? `x="${x + PADDING}"` : `x="${x + width / 2}" text-anchor="middle"`;
  return `<text class="title" ${at} y="${y + 18}">${escaped(state.name)}</text>`;
}

/** Captions one below the other, from `top` on. */
function captionsSvg(captions: Caption[], at: string, top: number, last: Set<string>): string[] {
  let y = top + 0.7 * ROW_HEIGHT;
  return captions.map(({ key, cause, rows }) => {
    const texts = rows.map((row, index) => {
      const pieces = row.map(
        ({ text, soft }) => `<tspan class="${soft ? 'condition' : 'label'}">${escaped(text)}</tspan>`,
      );
      return `<text ${at} y="${tenths(y + index * ROW_HEIGHT)}">${pieces.join(' ')}</text>`;
    });
    y += rows.length * ROW_HEIGHT;
    const name = key === undefined ? '' : ` data-transition="${escaped(key)}"`;
    const isLast = key !== undefined && last.has(key);
    return `<g class="${cause}${isLast ? ' last' : ''}"${name}>${texts.join('')}</g>`;
  });
}

function arrowSvg(chart: Layout, { id, from, to, captions, carries }: Arrow, last: Set<string>): string {
  const route = chart.routes.get(id);
  if (route === undefined) return '';
  const keys = [...captions.flatMap(({ key }) => key ?? []), ...carries];
  const { text } = route;
  const ground = parentOf(from) !== '' && parentOf(from) === parentOf(to) ? 'ground inner' : 'ground';
  return joined([
    `<g class="arrow${keys.some((key) => last.has(key)) ? ' last' : ''}" data-carries="${escaped(keys.join(' '))}">`,
    `<path d="${pathOf(route.points)}"/>`,
    headSvg(route.points),
    text &&
      `<rect class="${ground}" x="${text.x}" y="${text.y}" width="${text.width}" height="${text.height}"/>`,
    ...(text
      ? captionsSvg(captions, `x="${text.x + text.width / 2}" text-anchor="middle"`, text.y, last)
      : []),
    '</g>',
  ]);
}

/** Straight pieces with rounded corners. */
function pathOf(points: Point[]): string {
  const commands = points.map((point, index) => {
    const before = points[index - 1];
    const after = points[index + 1];
    if (before === undefined) return `M${at(point)}`;
    if (after === undefined) return `L${at(towards(point, before, HEAD))}`;
    const radius = Math.min(CORNER, distance(before, point) / 2, distance(point, after) / 2);
    return `L${at(towards(point, before, radius))}Q${at(point)} ${at(towards(point, after, radius))}`;
  });
  return commands.join('');
}

function headSvg(points: Point[]): string {
  const tip = points.at(-1);
  const before = points.at(-2);
  if (tip === undefined || before === undefined) return '';
  const base = towards(tip, before, HEAD + 1);
  const across = { x: (tip.y - base.y) / 2, y: (base.x - tip.x) / 2 };
  const corners = [
    tip,
    { x: base.x + across.x, y: base.y + across.y },
    { x: base.x - across.x, y: base.y - across.y },
  ];
  return `<polygon class="head" points="${corners.map(at).join(' ')}"/>`;
}

function distance(one: Point, other: Point): number {
  return Math.hypot(other.x - one.x, other.y - one.y);
}

function towards(from: Point, to: Point, by: number): Point {
  const part = Math.min(1, by / (distance(from, to) || 1));
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}

function at({ x, y }: Point): string {
  return `${tenths(x)},${tenths(y)}`;
}

function tenths(length: number): number {
  return Math.round(length * 10) / 10;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
