import type { Logger } from 'pino';
import { type Config, secretSettings } from '../../config.ts';
import { createLogger } from '../../logging/logger.ts';
import { prettyStream } from '../../logging/pretty.ts';

/** The log of a process of the control plane: for people on a terminal, else JSON. */
export function openLog(config: Config, node: string): Logger {
  const { log_format: format, log_level: level } = config;
  const pretty = format === 'pretty' || (format === 'auto' && process.stdout.isTTY);
  const settings = { level, secrets: secretsIn(config), base: { node } };
  return pretty ? createLogger(settings, prettyStream(process.stdout)) : createLogger(settings);
}

/** What is secret in the settings, and must not come out of a log wherever it has got to. */
function secretsIn(config: Config): string[] {
  return [
    ...secretSettings.map((name) => String(config[name])),
    config.heartbeat_key,
    ...[config.database_url, ...config.nats_url.split(',')].flatMap(passwordIn),
  ];
}

function passwordIn(url: string): string[] {
  const password = URL.parse(url)?.password ?? '';
  return [password, decodeURIComponent(password)];
}
