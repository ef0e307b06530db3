import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ElkExtendedEdge, ElkNode, LayoutOptions } from 'elkjs/lib/elk-api.js';
import type { Arrow, Box, Caption, Drawing } from './drawing.ts';
import { ROW_HEIGHT, rowWidth, titleWidth } from './text.ts';

export interface Point {
  x: number;
  y: number;
}

export interface Area extends Point {
  width: number;
  height: number;
}

/** Where everything of a drawing is, in pixels from the top left corner. */
export interface Layout extends Drawing {
  width: number;
  height: number;
  /** By path of the state. */
  areas: Map<string, Area>;
  /** By id of the arrow: the corners that it goes through, and where its text stands, if it has one. */
  routes: Map<string, { points: Point[]; text: Area | undefined }>;
}

/** Height of a box's title. */
export const TITLE_HEIGHT = 26;
/** Between the border of a box and its text. */
export const PADDING = 12;

/** Layouts of charts take less than a second; one that takes so long hangs. */
const DEADLINE_MS = 60_000;

const options: LayoutOptions = {
  algorithm: 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.randomSeed': '1',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.spacing.nodeNodeBetweenLayers': '36',
  'elk.layered.spacing.edgeNodeBetweenLayers': '18',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '14',
  'elk.spacing.nodeNode': '32',
  'elk.spacing.edgeNode': '20',
  'elk.spacing.edgeEdge': '16',
  'elk.spacing.edgeLabel': '6',
};

/** Find a place for everything. Takes its time in a thread of its own; the same drawing gets the same layout. */
export async function layOut(drawing: Drawing): Promise<Layout> {
  const worker = new Worker(new URL('./layout-worker.ts', import.meta.url), {
    workerData: graphOf(drawing),
  });
  const [placed]: ElkNode[] = await once(worker, 'message', {
    signal: AbortSignal.timeout(DEADLINE_MS),
  }).finally(() => worker.terminate());
  if (placed === undefined) throw new Error('there is no layout');
  return {
    ...drawing,
    width: Math.ceil(placed.width ?? 0),
    height: Math.ceil(placed.height ?? 0),
    areas: new Map(nodesOf(placed).map((node) => [node.id, areaOf(node)])),
    routes: new Map(placed.edges?.map((edge) => [edge.id, routeOf(edge)])),
  };
}

/** The drawing as elkjs takes it. */
function graphOf({ root, arrows }: Drawing): ElkNode {
  return { id: 'all', layoutOptions: options, children: [nodeOf(root)], edges: arrows.map(edgeOf) };
}

function nodeOf({ state, captions, boxes }: Box): ElkNode {
  const text = sizeOf(captions);
  const width = Math.max(titleWidth(state.name), text.width) + 2 * PADDING;
  const height = TITLE_HEIGHT + text.height + (captions.length > 0 ? PADDING / 2 : 0);
  if (boxes.length === 0) return { id: state.path, width, height };
  return {
    id: state.path,
    children: boxes.map(nodeOf),
    layoutOptions: {
      'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
      'elk.padding': `[top=${height + 14},left=18,bottom=18,right=18]`,
      'elk.nodeSize.constraints': 'MINIMUM_SIZE',
      'elk.nodeSize.minimum': `(${width},${height})`,
    },
  };
}

function edgeOf({ id, from, to, captions }: Arrow): ElkExtendedEdge {
  const { width, height } = sizeOf(captions);
  const layoutOptions = { 'elk.edgeLabels.inline': 'true', 'elk.edgeLabels.placement': 'CENTER' };
  const labels = captions.length > 0 ? [{ text: id, width: width + 8, height, layoutOptions }] : [];
  return { id, sources: [from], targets: [to], labels };
}

function sizeOf(captions: Caption[]): { width: number; height: number } {
  const rows = captions.flatMap((caption) => caption.rows);
  return { width: Math.max(0, ...rows.map(rowWidth)), height: rows.length * ROW_HEIGHT };
}

function nodesOf(node: ElkNode): ElkNode[] {
  return (node.children ?? []).flatMap((child) => [child, ...nodesOf(child)]);
}

function areaOf({ x = 0, y = 0, width = 0, height = 0 }: Partial<Area>): Area {
  return { x, y, width, height };
}

function routeOf({ sections = [], labels = [] }: ElkExtendedEdge) {
  const points = sections.flatMap(({ startPoint, bendPoints = [], endPoint }) => [
    startPoint,
    ...bendPoints,
    endPoint,
  ]);
  return { points, text: labels[0] && areaOf(labels[0]) };
}
