import { execFile } from 'node:child_process';
import { programEnvironment } from '../../config.ts';

export interface Finding {
  name: string;
  level: 'ok' | 'warn' | 'fail';
  detail: string;
  /** What to do, for everything but `ok`. */
  fix?: string;
}

export const ok = (name: string, detail: string): Finding => ({ name, level: 'ok', detail });
export const warn = (name: string, detail: string, fix: string): Finding => ({
  name,
  level: 'warn',
  detail,
  fix,
});
export const fail = (name: string, detail: string, fix: string): Finding => ({
  name,
  level: 'fail',
  detail,
  fix,
});

/** Run a program with `input`; what it printed on both streams. Rejects with the first line of that when it fails. */
export function probe(command: [string, ...string[]], input = ''): Promise<string> {
  const [program, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { env: programEnvironment(), timeout: 10_000 },
      (error, stdout, stderr) => {
        const output = `${stdout}${stderr}`.trim();
        if (!error) resolve(output);
        else reject(new Error(explain(output, error), { cause: error }));
      },
    );
    // A program that does not start, or does not read, is reported by its end.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

function explain(output: string, error: Error & { code?: unknown }): string {
  if (error.code === 'ENOENT') return 'not found';
  return output.split('\n')[0] || error.message;
}
