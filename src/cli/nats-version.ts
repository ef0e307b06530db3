/** JetStream as we use it works from here on; it is what Debian 12 has. */
export const OLDEST_NATS = '2.9';

/** Whether a nats-server of this version (`2.9.10`, or any text with it) is too old for us. */
export function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = numbers(version);
  const [oldestMajor = 0, oldestMinor = 0] = numbers(OLDEST_NATS);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

function numbers(version: string): number[] {
  return /(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [];
}
