import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config, SettingName } from '../../config.ts';

/** In the data directory. */
export const SETTINGS_FILE = 'settings.json';

/** What names the things that `up` makes outside its data directory. No secret is among them. */
const RECORDED: SettingName[] = [
  'provider',
  'netns_management_cidr',
  'netns_management_bridge',
  'netns_bridge_prefix',
];

/**
 * The configuration with which to work in its data directory: the first `up` there decides the settings that name
 * things outside it, because another bridge would not find the amphorae on the old one, and `down` is told only the
 * directory. Every setting that is given otherwise now is told to `say`.
 */
export function settleSettings(config: Config, say: (text: string) => void): Config {
  const recorded = recordedSettings(config.data_dir);
  const settled = { ...config, ...recorded };
  for (const name of RECORDED.filter((each) => settled[each] !== config[each])) {
    say(`keeping ${name} ${settled[name]}, with which ${config.data_dir} was made, until \`amphorae down\``);
  }
  const values = Object.fromEntries(RECORDED.map((name) => [name, settled[name]]));
  writeFileSync(join(config.data_dir, SETTINGS_FILE), `${JSON.stringify(values, null, 2)}\n`);
  return settled;
}

/** What `settleSettings` wrote; nothing where there was no `up` yet. */
export function recordedSettings(dataDir: string): Partial<Config> {
  try {
    return JSON.parse(readFileSync(join(dataDir, SETTINGS_FILE), 'utf8')) as Partial<Config>;
  } catch {
    return {};
  }
}
