import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withSettings } from '../../scripts/generate-docs.ts';

test('docs/operations.md has every setting as it is', () => {
  const document = readFileSync(resolve(import.meta.dirname, '../../docs/operations.md'), 'utf8');
  assert.is(document, withSettings(document), 'run npm run docs');
});

test.run();
