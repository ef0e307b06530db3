import { readFile, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root = resolve(import.meta.dirname, '..');

/**
 * Lets programs in need of node:http have it by `require`: an `import` looks at all that the module has, WebSocket too,
 * for which Node.js loads an undici of its own. 6 MiB.
 */
const httpWithoutWebSocket: Plugin = {
  name: 'http-without-websocket',
  setup({ onResolve, onLoad }) {
    const namespace = 'http-without-websocket';
    onResolve({ filter: /^(node:)?http$/ }, ({ kind, path }) =>
      kind === 'import-statement' ? { path, namespace } : undefined,
    );
    onLoad({ filter: /^/, namespace }, () => ({ contents: "module.exports = require('node:http');" }));
  },
};

/** Names stay as they are in the sources: stacks in logs are read by people. */
const forNode: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minifySyntax: true,
  legalComments: 'eof',
  // Packages in CommonJS look for Node.js's own modules with `require`.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  plugins: [httpWithoutWebSocket],
  logLevel: 'warning',
};

/** Write a program with all that it needs as one file: for amphorae that have no checkout, and for a quick start. */
export async function bundleProgram(entry: string, outfile: string): Promise<void> {
  await build({ ...forNode, entryPoints: [entry], outfile });
}

/** Modules that the command runs as processes or threads of their own. */
const agent = join(root, 'agent/main.ts');
const layoutWorker = join(root, 'src/visualizer/layout-worker.ts');

/**
 * Write the command to `directory`, in parts, of which each process loads those that it needs. Unlike `bundleProgram`'s
 * file it needs its checkout, for all that is no code, and must stay as deep in it.
 */
export async function bundleCommand(directory: string): Promise<void> {
  const startedAt = new Date();
  const draft = `${directory}.new`;
  await rm(draft, { recursive: true, force: true });
  await build({
    ...forNode,
    entryPoints: [join(root, 'src/cli/main.ts'), layoutWorker],
    entryNames: '[name]',
    outdir: draft,
    splitting: true,
    // Compiled from Java, for a thread that hardly ever runs.
    external: ['elkjs'],
    plugins: [httpWithoutWebSocket, inCheckout(draft)],
  });
  await bundleProgram(agent, join(draft, 'agent.js'));
  // Sources that changed meanwhile are newer than this: bin/amphorae compares.
  await utimes(join(draft, 'main.js'), startedAt, startedAt);
  await rm(directory, { recursive: true, force: true });
  await rename(draft, directory);
}

/** Lets sources find, from `directory`, what lies beside them in the checkout, and the other programs in `directory`. */
function inCheckout(directory: string): Plugin {
  const programs = new Map([
    [agent, './agent.js'],
    [layoutWorker, './layout-worker.js'],
  ]);
  return {
    name: 'in-checkout',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        const contents = source
          .replaceAll(/new URL\('([^']+)', import\.meta\.url\)/g, (_, target: string) => {
            const file = resolve(dirname(path), target);
            return `new URL('${programs.get(file) ?? relative(directory, file)}', import.meta.url)`;
          })
          .replaceAll(
            'import.meta.dirname',
            `(import.meta.dirname + '/${relative(directory, dirname(path))}')`,
          );
        return { contents, loader: 'ts' };
      });
    },
  };
}

if (import.meta.main) {
  const [entry, outfile] = process.argv.slice(2);
  await (entry && outfile ? bundleProgram(entry, outfile) : bundleCommand(join(root, 'dist')));
}
