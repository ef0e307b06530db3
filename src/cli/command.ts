import { parseArgs } from 'node:util';
import { type Config, loadConfig, type SettingName, settings } from '../config.ts';

/** One command of the command line. Each file `src/cli/<name>.ts` exports one as `command`. */
export interface Command {
  /** What follows the name, for the usage line: `NAME --cidr CIDR`. */
  usage?: string;
  /** Longer help, below the usage line. */
  description: string;
  /** Settings that matter to it; each becomes an option. */
  settings: readonly SettingName[];
  /** Options of its own. */
  options?: Record<string, OwnOption>;
  /** Do it. Resolves with the exit code: 0 done, 1 failed. A thrown error is printed and exits with 1. */
  run(invocation: Invocation): Promise<number>;
}

export interface OwnOption {
  type: 'string' | 'boolean';
  multiple?: boolean;
  /** Placeholder of the value in help. */
  value?: string;
  description: string;
}

export interface Invocation {
  config: Config;
  /** Names of settings that were given on the command line. */
  given: ReadonlySet<SettingName>;
  /** Own options, under their names. */
  options: Record<string, Value>;
  positionals: string[];
}

/** The command line is wrong; exit code 2. */
export class UsageError extends Error {}

/** What a command line of `command` asks for; undefined: its help. @throws UsageError, ConfigError */
export function parseInvocation(command: Command, args: string[]): Invocation | undefined {
  const { values, positionals } = parse(command, args);
  if (values.help) return undefined;
  const fromOptions = Object.fromEntries(
    command.settings.map((name) => [name, values[optionOf(name)]]).filter(([, value]) => value !== undefined),
  );
  return {
    config: loadConfig({
      ...fromOptions,
      ...(values.config !== undefined && { config: values.config }),
    }),
    given: new Set(Object.keys(fromOptions) as SettingName[]),
    options: Object.fromEntries(Object.keys(command.options ?? {}).map((name) => [name, values[name]])),
    positionals,
  };
}

type Value = string | boolean | (string | boolean)[] | undefined;

function parse(command: Command, args: string[]): { values: Record<string, Value>; positionals: string[] } {
  const settingOptions = command.settings.map((name) => [optionOf(name), { type: 'string' as const }]);
  const own = Object.entries(command.options ?? {}).map(([name, { type, multiple = false }]) => [
    name,
    { type, multiple },
  ]);
  try {
    return parseArgs({
      args,
      options: {
        ...Object.fromEntries(settingOptions),
        ...(command.settings.length > 0 && { config: { type: 'string' } }),
        ...Object.fromEntries(own),
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: command.usage !== undefined,
    });
  } catch (error) {
    // parseArgs explains at length how to pass a dash; the first sentence says what is wrong.
    throw new UsageError((error as Error).message.split('. ')[0], { cause: error });
  }
}

/** Help of one command, with the default of each setting and the reason for it. */
export function helpOf(name: string, command: Command): string {
  const own = Object.entries(command.options ?? {}).map(([option, { type, value, description }]) =>
    entry(`--${option}${type === 'string' ? ` ${value ?? 'TEXT'}` : ''}`, description),
  );
  const fromSettings = command.settings.map((setting) => {
    const { fallback, reason } = settings[setting];
    const shown = Array.isArray(fallback) ? fallback.join(',') : String(fallback);
    return entry(`--${optionOf(setting)} VALUE`, `${reason} Default: ${shown === '' ? 'empty' : shown}.`);
  });
  const config = command.settings.length > 0 ? [entry('--config FILE', 'YAML file with settings.')] : [];
  const options = [...own, ...fromSettings, ...config];
  return [
    `amphorae ${name}${command.usage ? ` ${command.usage}` : ''}${options.length > 0 ? ' [options]' : ''}`,
    '',
    command.description,
    ...(options.length > 0 ? ['', ...options] : []),
    ...(command.settings.length > 0
      ? ['', 'Each setting --foo-bar is also AMPHORAE_FOO_BAR in the environment and foo_bar in the file.']
      : []),
    '',
  ].join('\n');
}

function optionOf(setting: SettingName): string {
  return setting.replaceAll('_', '-');
}

function entry(option: string, description: string): string {
  return `  ${option}\n      ${description}`;
}
