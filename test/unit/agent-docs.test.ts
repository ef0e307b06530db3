import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { agentRoutes, type RouteParts } from '../../agent/routes/routes.ts';

const document = readFileSync(join(import.meta.dirname, '../../docs/agent-api.md'), 'utf8');
/** Nothing of an amphora is touched before a request comes. */
const routes = agentRoutes({ settings: {}, config: {} } as RouteParts);

const matches = (path: string, actual: string) =>
  new RegExp(`^${path.replace(/:\w+/g, '[^/]+')}$`).test(actual);

test('every endpoint of the agent has an example', () => {
  const examples = [...document.matchAll(/^ask (GET|POST|PUT|DELETE) (\S+)/gm)].map(([, method, path]) => ({
    method,
    path: path ?? '',
  }));
  for (const [method, path] of routes) {
    assert.ok(
      examples.some((example) => example.method === method && matches(path, example.path)),
      `${method} ${path} has no example`,
    );
  }
});

test('every endpoint of the agent is in the table, and the table has no others', () => {
  const described = [...document.matchAll(/^\| (`(?:GET|POST|PUT|DELETE)\b.*?`) \|/gm)].flatMap(
    ([, cell]) => {
      const verbs = [...(cell ?? '').matchAll(/GET|POST|PUT|DELETE/g)].map(([verb]) => verb);
      const paths = [...(cell ?? '').matchAll(/\/(?:\{[^}]*\}|[^`\s,{])*/g)].map(([path]) => path);
      return paths.flatMap((path, index) =>
        (paths.length === 1 ? verbs : [verbs[index] ?? '']).map((verb) => `${verb} ${anonymous(path)}`),
      );
    },
  );
  // Two handlers share what is asked of a load balancer or of a UDP listener.
  const served = new Set(routes.map(([method, path]) => `${method} ${anonymous(path)}`));
  assert.equal([...new Set(described)].sort(), [...served].sort());
});

function anonymous(path: string): string {
  return path.replace(/:\w+|\{[^}]*\}(\.pem)?/g, '*');
}

test.run();
