import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';

/**
 * haproxy finds nothing in a configuration to complain about, not even to warn of.
 * @param files what it refers to: path -> content
 */
export function checkHaproxy(config: string, files: ReadonlyMap<string, string> = new Map()): void {
  const directory = mkdtempSync(join(tmpdir(), 'amphorae-test-'));
  const here = (text: string) => text.replaceAll('/var/lib/octavia', directory);
  const write = (path: string, content: string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, here(content));
    return path;
  };
  try {
    const state = /server-state-file (\S+)/.exec(config)?.[1] ?? '';
    for (const [path, content] of [...files, [state, '1\n'] as const]) write(here(path), content);
    const file = write(join(directory, 'haproxy.cfg'), config);
    const self = /^ +peer (\S+)/m.exec(config)?.[1] ?? 'none';
    execFileSync('haproxy', ['-c', '-dW', '-L', self, '-f', file], {
      env: { PATH: '/usr/sbin:/usr/bin' },
      stdio: 'pipe',
    });
  } catch (error) {
    assert.unreachable(
      `haproxy refuses the configuration: ${(error as { stderr: Buffer }).stderr}\n${config}`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t' };

/** The words of a line as haproxy's manual (2.2, quoting and escaping) says that they are read. */
export function haproxyWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quoted: '"' | "'" | '' = '';
  for (let place = 0; place < line.length; place += 1) {
    const character = line[place] ?? '';
    if (quoted === "'") {
      if (character === "'") quoted = '';
      else word = (word ?? '') + character;
    } else if (character === '\\') {
      const hexadecimal = /^x([0-9a-f]{2})/i.exec(line.slice(place + 1))?.[1];
      const next = line[place + 1] ?? '';
      word =
        (word ?? '') +
        (hexadecimal ? String.fromCharCode(Number.parseInt(hexadecimal, 16)) : (ESCAPES[next] ?? next));
      place += hexadecimal ? 3 : 1;
    } else if (quoted === '"' && character === '$') {
      throw new Error(`a variable is expanded in ${line}`);
    } else if (character === quoted) {
      quoted = '';
    } else if (!quoted && (character === '"' || character === "'")) {
      quoted = character;
      word ??= '';
    } else if (!quoted && character === '#') {
      break;
    } else if (!quoted && (character === ' ' || character === '\t')) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quoted) throw new Error(`a quote is not closed in ${line}`);
  return word === undefined ? words : [...words, word];
}
