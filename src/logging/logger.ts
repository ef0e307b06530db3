import pino, { type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { loggable, scrubber } from './redaction.ts';

export interface LogSettings {
  level: string;
  /** Secrets that this process knows: they are taken out of every line, wherever they stand. */
  secrets?: readonly string[];
  /** Fields of every line. */
  base?: Record<string, unknown>;
}

/**
 * A logger that writes an event a line, as JSON, without secrets.
 * @param destination where to; absent: standard output
 */
export function createLogger(
  { level, secrets = [], base }: LogSettings,
  destination?: DestinationStream,
): Logger {
  const scrub = scrubber(secrets);
  const options: LoggerOptions = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }), bindings: loggable, log: loggable },
    serializers: { err: (error) => error },
    hooks: { streamWrite: scrub },
    ...(base !== undefined && { base }),
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
