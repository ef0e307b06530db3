import type { PassThrough } from 'node:stream';
import pretty from 'pino-pretty';

/** Turns lines of a logger into lines for people, with colours, and what hangs on an event below it. */
export function prettyStream(output: NodeJS.WritableStream & { isTTY?: boolean }): NodeJS.WritableStream {
  return pretty({
    destination: output as PassThrough,
    colorize: output.isTTY === true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,node',
    sync: true,
  });
}
