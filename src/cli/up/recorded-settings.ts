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

/** Write down with which settings `up` works in its data directory, so that `down` needs to be told only that. */
export function recordSettings(config: Config): void {
  const recorded = Object.fromEntries(RECORDED.map((name) => [name, config[name]]));
  writeFileSync(join(config.data_dir, SETTINGS_FILE), `${JSON.stringify(recorded, null, 2)}\n`);
}

/** What `recordSettings` wrote; nothing where `up` never came that far. */
export function recordedSettings(dataDir: string): Partial<Config> {
  try {
    return JSON.parse(readFileSync(join(dataDir, SETTINGS_FILE), 'utf8')) as Partial<Config>;
  } catch {
    return {};
  }
}
