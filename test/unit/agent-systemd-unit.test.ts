import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProgramOptions } from '../../agent/processes/program.ts';
import { SystemdUnit } from '../../agent/processes/systemd-unit.ts';
import { systemctlScript } from '../support/systemctl.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-systemd-'));
const file = (name: string) => join(directory, name);
const UNIT = file('haproxy-x.service');

test.before(() => {
  writeFileSync(file('systemctl'), systemctlScript(directory, directory));
  chmodSync(file('systemctl'), 0o755);
});
test.after(async () => {
  await unit(['sleep', '60']).stop();
  rmSync(directory, { recursive: true, force: true });
});

function unit([program, ...args]: string[]): SystemdUnit {
  const options: ProgramOptions = {
    name: 'haproxy-x',
    command: [`/usr/bin/${program}`, args],
    pidFile: file('unused'),
    logFile: file('log'),
    log: pino({ level: 'silent' }),
  };
  return new SystemdUnit(options, { units: directory, systemctl: file('systemctl') });
}

const isReady = async () => true;
const isNeverReady = async () => false;

test('a program runs as the unit of its name, and ends with it', async () => {
  const program = unit(['sleep', '60']);
  assert.is(await program.adopt(), false);
  await program.start(isReady);
  assert.ok(program.running);
  assert.match(readFileSync(UNIT, 'utf8'), /^ExecStart="\/usr\/bin\/sleep" "60"$/m);
  await program.stop();
  assert.not(program.running);
  assert.throws(() => readFileSync(UNIT), /ENOENT/);
  await program.stop();
});

test('the next agent takes it over, unless another agent wrote the unit', async () => {
  const program = unit(['sleep', '60']);
  await program.start(isReady);
  program.release();
  const next = unit(['sleep', '60']);
  assert.ok(await next.adopt());
  assert.is(next.pid, program.pid);
  assert.not(await unit(['sleep', '61']).adopt());
  next.signal('SIGCONT');
  await next.stop();
});

test('arguments reach the program as they are', async () => {
  const words = ['a b', '"q"', "it's", 'back\\slash', '100%', '$HOME'];
  const program = unit(['printf', '%s\\n', ...words]);
  await program.start(isNeverReady).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, words.join('\n')),
  );
});

test('one that does not start says why, and leaves no unit behind', async () => {
  await unit(['ls', '/no/such/file'])
    .start(isNeverReady)
    .then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, /no.such.file/),
    );
  assert.throws(() => readFileSync(UNIT), /ENOENT/);
});

test.run();
