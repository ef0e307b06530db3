import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Certificates } from '../../agent/certificates.ts';
import { createTestPki } from '../support/test-pki.ts';

const LOAD_BALANCER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c001';
const { cert, key } = await (await createTestPki()).issue('www.example.com');
const pem = `${cert}\n${key}\n`;

const stateDir = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
const memory = mkdtempSync('/dev/shm/amphorae-test-');
test.after(() => {
  for (const directory of [stateDir, memory]) rmSync(directory, { recursive: true });
});
test.after.each(() => rmSync(join(stateDir, 'certs'), { recursive: true }));

test('keys lie in memory behind a link, also after a reboot that emptied the memory', async () => {
  for (const runDir of [join(memory, 'run'), join(memory, 'run')]) {
    const certificates = new Certificates(runDir, stateDir);
    assert.is(await certificates.write(LOAD_BALANCER, 'a.pem', pem), true);
    assert.is(await certificates.write(LOAD_BALANCER, 'a.pem', pem), false, 'the same again');
    assert.ok(lstatSync(join(stateDir, 'certs')).isSymbolicLink());
    const path = join(runDir, 'certs', LOAD_BALANCER, 'a.pem');
    assert.is(readFileSync(path, 'utf8'), pem);
    assert.is(statSync(path).mode & 0o777, 0o600);
    assert.equal([...(await certificates.readAll(LOAD_BALANCER)).keys()], ['a.pem']);
    rmSync(runDir, { recursive: true });
    assert.equal(await certificates.readAll(LOAD_BALANCER), new Map());
  }
});

test('an image that has a file system of its own for keys keeps them there', async () => {
  mkdirSync(join(stateDir, 'certs'));
  const certificates = new Certificates(join(memory, 'unused'), stateDir);
  await certificates.write(LOAD_BALANCER, 'a.pem', pem);
  assert.is(readFileSync(join(stateDir, 'certs', LOAD_BALANCER, 'a.pem'), 'utf8'), pem);
  await certificates.deleteAll(LOAD_BALANCER);
  assert.is(await certificates.read(LOAD_BALANCER, 'a.pem'), undefined);
});

test.run();
