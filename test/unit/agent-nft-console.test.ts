import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CommandError } from '../../agent/command.ts';
import { NftConsole } from '../../agent/nftables/console.ts';
import { waitFor } from '../../src/cli/up/wait.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-console-'));
/** Keeps a network namespace that nobody else sees. */
const keeper = spawn('unshare', ['--net', 'sh', '-c', 'echo; read nothing'], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const inside = (...command: string[]): [string, string[]] => [
  '/usr/bin/nsenter',
  [`--net=/proc/${keeper.pid}/ns/net`, ...command],
];
const nft = new NftConsole(inside('/usr/sbin/nft', '-i'), directory);
const tables = () => execFileSync(...inside('/usr/sbin/nft', 'list', 'tables'), { encoding: 'utf8' });

test.before(() => new Promise((resolve) => keeper.stdout.once('data', resolve)));
test.after(() => {
  nft.end();
  keeper.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

test('a transaction is in force when it is answered', async () => {
  for (let each = 0; each < 5; each += 1) {
    await nft.apply(`add table inet t${each}\n`);
    assert.is(tables().trim().split('\n').length, each + 1);
  }
});

test('of one that fails nothing is in force, its reason is told, and the next is applied', async () => {
  const before = tables();
  for (const wrong of ['add chain inet missing c\n', 'add nonsense\n']) {
    try {
      await nft.apply(`add table inet half\n${wrong}`);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, CommandError);
      assert.match((error as CommandError).output, /^(In file|.*Error: )[\s\S]*firewall-transaction:2/);
    }
    assert.is(tables(), before);
  }
  await nft.apply('delete table inet t0\n');
  assert.not.match(tables(), /t0/);
});

test('one that died meanwhile is replaced', async () => {
  const pid = Number(execFileSync('pgrep', ['-P', String(process.pid), '-x', 'nft'], { encoding: 'utf8' }));
  process.kill(pid, 'SIGKILL');
  await waitFor('its end', 5, async () => !existsSync(`/proc/${pid}`) || undefined);
  await nft.apply('add table inet after\n');
  assert.match(tables(), /after/);
});

test('one that cannot start is an error', async () => {
  for (const command of [inside('/missing'), ['/missing', []] satisfies [string, string[]]]) {
    try {
      await new NftConsole(command, directory).apply('add table inet never\n');
      assert.unreachable();
    } catch (error) {
      assert.instance(error, CommandError);
    }
  }
});

test.run();
