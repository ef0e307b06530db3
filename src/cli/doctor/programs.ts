import type { Finding } from './check.ts';
import { fail, ok, probe } from './check.ts';

interface Program {
  command: [string, ...string[]];
  /** Oldest version known to do all that is asked of it. */
  oldest?: string;
  /** Debian package. */
  from: string;
}

const broker: Program = { command: ['nats-server', '--version'], oldest: '2.9', from: 'nats-server' };
/** Reads PKCS#12. */
const secrets: Program = { command: ['openssl', 'version'], oldest: '3.0', from: 'openssl' };
const supervision: Program = { command: ['setpriv', '--version'], from: 'util-linux' };
const dataPlane: Program[] = [
  { command: ['haproxy', '-v'], oldest: '2.6', from: 'haproxy' },
  { command: ['keepalived', '--version'], oldest: '2.2', from: 'keepalived' },
  { command: ['nft', '--version'], oldest: '1.0', from: 'nftables' },
  { command: ['ip', '-Version'], oldest: '6.1', from: 'iproute2' },
  { command: ['conntrack', '--version'], from: 'conntrack' },
  { command: ['curl', '--version'], from: 'curl' },
  { command: ['ping', '-V'], from: 'iputils-ping' },
];

/** Every program that will be started is there and new enough. */
export function checkPrograms({
  netns,
  privateNats,
}: {
  netns: boolean;
  privateNats: boolean;
}): Promise<Finding[]> {
  const programs = [...(privateNats ? [broker] : []), supervision, secrets, ...(netns ? dataPlane : [])];
  return Promise.all(programs.map(checkProgram));
}

async function checkProgram({ command, oldest, from }: Program): Promise<Finding> {
  const [name] = command;
  const fix = `run scripts/setup, or install the package ${from}`;
  try {
    const version = /\d+\.\d+(\.\d+)?/.exec(await probe(command))?.[0] ?? 'of unknown version';
    if (oldest && !isAtLeast(version, oldest))
      return fail(name, `${version}; ${oldest} or newer is needed`, fix);
    return ok(name, version);
  } catch (error) {
    return fail(name, (error as Error).message, fix);
  }
}

function isAtLeast(version: string, oldest: string): boolean {
  return version.localeCompare(oldest, 'en', { numeric: true }) >= 0;
}
