import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { statusEventSchema, withSettings } from '../../scripts/generate-docs.ts';

test('docs/operations.md has every setting as it is', () => {
  const document = read('operations.md');
  assert.is(document, withSettings(document), 'run npm run docs');
});

test('docs/status-event.schema.json is the schema of the events that are published', () => {
  assert.is(read('status-event.schema.json'), statusEventSchema(), 'run npm run docs');
});

function read(name: string): string {
  return readFileSync(resolve(import.meta.dirname, '../../docs', name), 'utf8');
}

test.run();
