import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/**
 * The directions of docs/architecture.md, section 2, held against every import. A layer is a folder; what a layer may
 * import besides itself is all that it lists. Types of a layer in `typesOf` may be imported where its code may not.
 */
interface Layer {
  layers: string[];
  typesOf?: string[];
  /** Packages and Node.js modules; absent: any. */
  packages?: string[];
}

const layers: Record<string, Layer> = {
  'src/model': { layers: [], packages: ['zod'] },
  'src/logging': { layers: [], packages: ['pino', 'pino-pretty'] },
  'src/machines': { layers: ['src/model'], packages: ['xstate'] },
  'src/render': { layers: ['src/model', 'src/amphora-api'], packages: ['node:crypto'] },
  'src/secrets': { layers: ['src/keystone', 'src/model'] },
  'src/amphora-api': {
    layers: ['src/model'],
    packages: ['zod', 'undici', 'node:net', 'node:crypto', 'node:zlib'],
  },
  'src/store': { layers: ['src/model', 'migrations'], typesOf: ['src/machines'] },
  'src/status': { layers: ['src/store', 'src/model'] },
  'src/health': {
    layers: ['src/store', 'src/actors', 'src/amphora-api', 'src/model'],
    typesOf: ['src/machines'],
  },
  'src/actors': { layers: ['src/machines', 'src/model'], typesOf: ['src/store'] },
  'src/visualizer': {
    layers: ['src/actors', 'src/machines', 'src/model'],
    packages: [
      'elkjs',
      'node:events',
      'node:fs',
      'node:path',
      'node:timers/promises',
      'node:util',
      'node:worker_threads',
      'xstate',
    ],
  },
  'src/failover': { layers: ['src/actors', 'src/store', 'src/model'] },
  'src/providers': {
    layers: ['src/model', 'src/amphora-api', 'src/keystone', 'src/store'],
    typesOf: ['src/config.ts'],
  },
  'src/effects': {
    layers: ['src/providers', 'src/render', 'src/amphora-api', 'src/secrets', 'src/store', 'src/model'],
    typesOf: ['src/machines', 'src/config.ts'],
  },
  'src/http': {
    layers: [
      ...['src/store', 'src/actors', 'src/model', 'src/amphora-api', 'src/secrets'],
      ...['src/status', 'src/visualizer'],
    ],
    typesOf: ['src/providers', 'src/machines', 'src/keystone', 'src/config.ts'],
  },
  'src/keystone': { layers: ['src/model'], packages: ['node:timers/promises', 'undici', 'zod'] },
  'src/config.ts': { layers: ['src/clouds-file.ts'] },
  'src/clouds-file.ts': { layers: [] },
  'src/cli': {
    layers: [
      ...[
        'src/actors',
        'src/amphora-api',
        'src/effects',
        'src/failover',
        'src/health',
        'src/http',
        'src/keystone',
        'src/logging',
        'src/machines',
        'src/model',
        'src/providers',
      ],
      ...['src/render', 'src/secrets', 'src/status', 'src/store', 'src/config.ts', 'agent', 'package.json'],
    ],
  },
  agent: { layers: ['src/amphora-api', 'src/logging', 'src/model'] },
  migrations: { layers: [], packages: ['kysely'] },
};

/** Single files that may do more than their layer, with the reason. */
const exceptions: Record<string, string[]> = {
  'src/machines/address.ts': ['node:crypto'], // a partition is a hash
  // where the runtime's store port meets PostgreSQL
  'src/actors/commit-statement.ts': ['src/store/statement.ts'],
  'src/actors/postgres-store.ts': [
    'src/store/batches.ts',
    'src/store/statement.ts',
    'src/store/database-errors.ts',
  ],
};

const root = resolve(import.meta.dirname, '../..');
const files = globSync(['src/**/*.ts', 'agent/**/*.ts', 'migrations/*.ts'], { cwd: root }).sort();

interface Import {
  file: string;
  target: string;
  typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const source = readFileSync(join(root, file), 'utf8');
  const statements = source.matchAll(
    /^(?:import|export)\b(\s+type\b)?[^;'"]*?from\s+'([^']+)'|^import\s+'([^']+)'/gms,
  );
  const dynamic = source.matchAll(/\bimport\('([^']+)'\)/g);
  return [
    ...[...statements].map(([, type, from, bare]) => ({
      file,
      target: targetOf(file, from ?? bare ?? ''),
      typeOnly: !!type,
    })),
    ...[...dynamic].map(([, from]) => ({ file, target: targetOf(file, from ?? ''), typeOnly: false })),
  ];
}

function targetOf(file: string, specifier: string): string {
  return specifier.startsWith('.') ? relative(root, resolve(root, dirname(file), specifier)) : specifier;
}

function layerOf(path: string): string | undefined {
  return [...Object.keys(layers), 'package.json'].find(
    (layer) => path === layer || path.startsWith(`${layer}/`),
  );
}

/** Why this import is not allowed; undefined when it is. */
function violation({ file, target, typeOnly }: Import): string | undefined {
  const from = layerOf(file) ?? '';
  const rules = layers[from];
  if (!rules) return `${file} lies in no layer`;
  if (exceptions[file]?.includes(target)) return undefined;
  const to = layerOf(target);
  if (to === from) return undefined;
  if (to === undefined) {
    const allowed = rules.packages?.some((name) => target === name || target.startsWith(`${name}/`)) ?? true;
    return allowed || typeOnly ? undefined : `${file} imports ${target}: ${from} may not use that package`;
  }
  if (rules.layers.includes(to) || (typeOnly && rules.typesOf?.includes(to))) return undefined;
  return `${file} imports ${target}: ${from} ${typeOnly ? 'may not know' : 'may not use'} ${to}`;
}

test('every import follows the direction of the layers', () => {
  const violations = files
    .flatMap(importsOf)
    .map(violation)
    .filter((text) => text !== undefined);
  assert.equal(violations, []);
});

test('the check sees the imports that it is there for', () => {
  assert.ok(files.length > 50);
  const imports = importsOf('src/cli/main.ts');
  assert.ok(imports.some(({ target }) => target === 'src/cli/up.ts'));
  assert.ok(violation({ file: 'src/machines/amphora.ts', target: 'pg', typeOnly: false }));
  assert.ok(violation({ file: 'src/machines/amphora.ts', target: 'src/store/database.ts', typeOnly: true }));
  assert.ok(violation({ file: 'agent/main.ts', target: 'src/store/database.ts', typeOnly: false }));
});

test('only src/config.ts reads the environment', () => {
  const readers = files.filter((file) => /\bprocess\.env\b/.test(readFileSync(join(root, file), 'utf8')));
  assert.equal(readers, ['src/config.ts']);
});

test('nothing outside the checkout is imported', () => {
  const outside = files
    .flatMap(importsOf)
    .filter(({ target }) => target.startsWith('..') || target.startsWith('/'));
  assert.equal(outside, []);
});

test.run();
