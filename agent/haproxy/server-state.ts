/** A state file without a server: haproxy warns of one that is empty. */
export const NO_SERVER_STATE = '1\n';

/** Columns of `show servers state`, version 1. */
const ADMIN_STATE = 6;
const CURRENT_WEIGHT = 7;
const CONFIGURED_WEIGHT = 8;

/** Maintenance, for whatever reason, among the bits of the administrative state. */
const MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20 | 0x40;

/**
 * What the next worker is to know of its servers: their health. Weight and administrative state may have been changed on
 * the runtime socket, and haproxy would prefer those to what the configuration says; it is the configuration that knows.
 * Pure.
 * @param state haproxy's answer to `show servers state`
 */
export function healthOnly(state: string): string {
  const lines = state.split('\n').flatMap((line) => {
    const columns = line.split(' ');
    if (columns.length <= CONFIGURED_WEIGHT || line.startsWith('#')) return [line];
    // Without health of its own a server in maintenance would begin as down.
    if (Number(columns[ADMIN_STATE]) & MAINTENANCE) return [];
    columns[ADMIN_STATE] = '0';
    columns[CURRENT_WEIGHT] = columns[CONFIGURED_WEIGHT] ?? '';
    return [columns.join(' ')];
  });
  return lines.join('\n');
}
