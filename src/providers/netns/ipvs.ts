import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Whether this host's kernel has IPVS, or a module that brings it: the agent loads that when it is needed. */
export async function hasIpvs(): Promise<boolean> {
  if (existsSync('/proc/net/ip_vs')) return true;
  return execute('modprobe', ['--dry-run', '--quiet', 'ip_vs'], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    timeout: 5_000,
  }).then(
    () => true,
    () => false,
  );
}
