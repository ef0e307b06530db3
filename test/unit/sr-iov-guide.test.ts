import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

// The administrator's guide knows every error that a cloud can lead to. Its commands: test/openstack/guide.test.ts.

const root = resolve(import.meta.dirname, '../..');
const text = (path: string) => readFileSync(join(root, path), 'utf8');

test('every code of an error of OpenStack is explained in the guide, and no other', () => {
  const sources = [
    'keystone/*.ts',
    'providers/openstack/*.ts',
    'cli/doctor/cloud.ts',
    'effects/member-networks.ts',
  ];
  const files = globSync(
    sources.map((source) => `src/${source}`),
    { cwd: root },
  );
  const thrown = new Set(
    files.flatMap((file) => [...text(file).matchAll(/\w+Error\(\s*'(\w+)'/g)].map(([, code]) => code)),
  );
  const guide = text('docs/sr-iov.md');
  const section = guide.slice(guide.indexOf('## What errors mean'), guide.indexOf('## Limits'));
  const firstColumns = [...section.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell]) => cell ?? '');
  const explained = firstColumns.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, code]) => code));
  assert.ok(thrown.size > 20);
  assert.equal(explained.sort(), [...thrown].sort());
});

test.run();
