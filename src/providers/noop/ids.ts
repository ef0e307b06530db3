import { hash } from 'node:crypto';

/** A UUID (version 5 layout) that is a function of `text`, so that every process derives the same one. */
export function uuidOf(text: string): string {
  const bytes = digest(text).subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Whether an id may have come from `uuidOf`, in this process or another one. */
export function isDerived(id: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id);
}

/** A locally administered unicast MAC address that is a function of `text`. */
export function macOf(text: string): string {
  return `02:${digest(text)
    .subarray(0, 5)
    .toString('hex')
    .replace(/..(?!$)/g, '$&:')}`;
}

/** The range for benchmarks of network devices (RFC 2544): never a real address. */
export const NOOP_CIDR = '198.18.0.0/15';
export const NOOP_GATEWAY = '198.18.0.1';
const HOSTS = 2 ** 17 - 3;

/** An address of `NOOP_CIDR`, not its gateway, that is a function of `text`; `attempt` steps to the next one. */
export function addressOf(text: string, attempt = 0): string {
  const host = 2 + ((digest(text).readUInt32BE(0) + attempt) % HOSTS);
  return `198.${18 + (host >> 16)}.${(host >> 8) & 255}.${host & 255}`;
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
