import { execFile } from 'node:child_process';

/** A program of the amphora that failed; `output` is what it wrote to standard error and output. */
export class CommandError extends Error {
  readonly output: string;

  constructor(file: string, args: readonly string[], output: string, cause: unknown) {
    super(`${file} ${args.join(' ')} failed: ${output || (cause as Error).message}`, { cause });
    this.output = output;
  }
}

const DEADLINE_MS = 20_000;
const MAX_OUTPUT = 64 * 1024 * 1024;

/**
 * Run a program to its end and return its standard output. Arguments are never read by a shell.
 * @throws CommandError when it cannot start, exits non-zero or takes longer than 20 s
 */
export function run(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      { timeout: DEADLINE_MS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT },
      (error, stdout, stderr) => {
        if (error) reject(new CommandError(file, args, `${stderr}${stdout}`.trim(), error));
        else resolve(stdout);
      },
    );
    // A program that exits before it read everything is reported by its exit status, not by the broken pipe.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
