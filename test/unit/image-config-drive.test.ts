import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deliver, readConfigDrive } from '../../agent/image/config-drive.ts';
import { cloudConfig } from '../../src/providers/openstack/cloud-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-drive-'));
test.after(() => rmSync(directory, { recursive: true }));

function drive(files: Record<string, string>): string {
  const root = mkdtempSync(join(directory, 'drive-'));
  mkdirSync(join(root, 'openstack/latest'), { recursive: true });
  mkdirSync(join(root, 'openstack/content'));
  for (const [path, text] of Object.entries({ 'latest/meta_data.json': '{}', ...files })) {
    writeFileSync(join(root, 'openstack', path), text);
  }
  return root;
}

const contents = (root: string) =>
  readConfigDrive(root).map(({ path, content }) => [path, content.toString()]);

test('files that our controller sends by user data are found', () => {
  const files = { '/etc/octavia/certs/server.pem': 'a\nb\n', '/etc/octavia/amphora-agent.json': '{"a: 1}' };
  assert.equal(contents(drive({ 'latest/user_data': cloudConfig(files) })), Object.entries(files));
});

test('a cloud-config that is written by hand is understood, and nothing but its files counts', () => {
  const user_data =
    '#cloud-config\n# vim: syntax=yaml\nruncmd: [reboot]\nwrite_files:\n- path: /etc/x\n  permissions: "0644"\n  content: |\n   one\n   two\n';
  const [file] = readConfigDrive(drive({ 'latest/user_data': user_data }));
  assert.equal([file?.path, file?.content.toString(), file?.mode], ['/etc/x', 'one\ntwo\n', 0o644]);
});

test('files that Nova injects are found', () => {
  const files = [{ path: '/etc/octavia/certs/client_ca.pem', content_path: '/content/0000' }];
  const root = drive({ 'latest/meta_data.json': JSON.stringify({ uuid: 'x', files }), 'content/0000': 'CA' });
  assert.equal(contents(root), [['/etc/octavia/certs/client_ca.pem', 'CA']]);
});

test('user data that is a script is left alone', () => {
  assert.equal(contents(drive({ 'latest/user_data': '#!/bin/sh\nreboot\n' })), []);
});

test('paths that lead elsewhere are refused', () => {
  for (const path of ['etc/x', '/etc/../x', '/etc//x']) {
    assert.throws(
      () => readConfigDrive(drive({ 'latest/user_data': cloudConfig({ [path]: '' }) })),
      /absolute/,
    );
  }
});

test('files are written for root only, and what is there already stays', async () => {
  const root = mkdtempSync(join(directory, 'root-'));
  const files = readConfigDrive(drive({ 'latest/user_data': cloudConfig({ '/etc/octavia/key': 'new' }) }));
  assert.equal(await deliver(files, root), ['/etc/octavia/key']);
  const target = join(root, 'etc/octavia/key');
  assert.is(statSync(target).mode & 0o777, 0o600);
  writeFileSync(target, 'rotated');
  assert.equal(await deliver(files, root), []);
  assert.is(readFileSync(target, 'utf8'), 'rotated');
});

test.run();
