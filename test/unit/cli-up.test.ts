import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { takeDown } from '../../src/cli/down.ts';
import { startUp } from '../../src/cli/up/background.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import { type System, startSystem } from '../support/system.ts';

/** `amphorae up` with the noop provider: everything is real but compute and network. */
let system: System;

test.before(async () => {
  system = await startSystem({ provider: 'noop', nodes: 2 });
});
test.after(() => system?.stop());

async function createFlavorProfile(name: string): Promise<string> {
  const flavorprofile = { name, provider_name: 'amphora', flavor_data: '{}' };
  const path = '/v2.0/lbaas/flavorprofiles';
  return (await system.api<{ flavorprofile: { id: string } }>('POST', path, { flavorprofile })).flavorprofile
    .id;
}

const profileNames = async () => {
  const path = '/v2.0/lbaas/flavorprofiles';
  const { flavorprofiles } = await system.api<{ flavorprofiles: { name: string }[] }>('GET', path);
  return flavorprofiles.map(({ name }) => name);
};

const isAlive = (pid: number) => existsSync(`/proc/${pid}/cwd`);
const all = ['nats-server', 'node-1', 'node-2', 'postgres'];

test('it runs a database, a broker, and as many controllers as it was told to', () => {
  assert.equal([...system.processes().keys()].sort(), all);
});

test('neither passwords nor connection strings are in the arguments of any process', () => {
  for (const pid of system.processes().values()) {
    assert.not.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /:\/\/|password/);
  }
  const nats = join(system.dataDir, 'nats/nats.conf');
  assert.match(readFileSync(nats, 'utf8'), /password/);
});

test('each of its children that is killed comes back, and the API answers again', async () => {
  await createFlavorProfile('before-kill');
  for (const name of all) {
    const before = system.processes().get(name) as number;
    process.kill(before, 'SIGKILL');
    await waitFor(`a new ${name}`, 15, () => {
      const now = system.processes().get(name);
      return now !== undefined && now !== before ? true : undefined;
    });
  }
  const names = await waitFor('the API', 20, profileNames);
  assert.ok(names.includes('before-kill'));
  await waitFor('a write', 20, () => createFlavorProfile('after-kill'));
});

test('a second one in the same data directory is refused and told which process works there', async () => {
  const amphorae = join(import.meta.dirname, '../../bin/amphorae');
  const args = ['up', '--provider', 'noop', '--data-dir', system.dataDir, '--listen', '127.0.0.1:0'];
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((done) => {
    execFile(amphorae, args, { timeout: 20_000 }, (error, _stdout, text) =>
      done({ code: error?.code, stderr: text }),
    );
  });
  assert.is(code, 1);
  const pid = readFileSync(join(system.dataDir, 'up.pid'), 'utf8').trim();
  assert.match(stderr, `in use by process ${pid}`);
});

test('an address that is taken ends it with a reason, and with nothing left running', async () => {
  const dataDir = `${system.dataDir}-second`;
  const config = { ...system.config, data_dir: dataDir };
  try {
    await startUp(config, 'KILL');
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'choose another --listen');
  } finally {
    await takeDown(config, () => {});
  }
});

test('halted and started again it finds everything as it was', async () => {
  const children = [...system.processes().values()];
  await system.halt();
  assert.is(children.filter(isAlive).length, 0);
  await system.restart();
  assert.ok((await profileNames()).includes('after-kill'));
});

test('when it is killed its children die with it, and the next one starts over a stale postmaster.pid', async () => {
  const children = [...system.processes().values()];
  await system.crash();
  await waitFor('the children to end', 15, () => (children.some(isAlive) ? undefined : true));
  // As after a power cut, with a process id that is in use by somebody else now.
  const stale = `${process.pid}\n${system.dataDir}/postgres/data\n1\n5432\n${system.dataDir}/postgres/run\n\n\nready\n`;
  writeFileSync(join(system.dataDir, 'postgres/data/postmaster.pid'), stale);
  await system.restart();
  assert.ok((await profileNames()).includes('after-kill'));
});

test('down ends it and leaves no process and no file, and may be repeated', async () => {
  const children = [...system.processes().values()];
  await system.stop();
  await system.stop();
  assert.is(children.filter(isAlive).length, 0);
  assert.not(existsSync(system.dataDir));
});

test.run();
