import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../files.ts';

/**
 * Programs that keepalived runs to check members (contract D3, E4), by name. Arguments: address, port and, for SCTP, the
 * seconds that it may take. Where both ends are ours, UDP is checked by keepalived itself.
 */
const SCRIPTS: Record<string, string> = {
  // Who has no such port says so by ICMP, and the next datagram fails.
  'udp_check.sh': `#!/bin/bash
exec 3<>"/dev/udp/$1/$2" || exit 1
echo >&3 2>/dev/null || exit 1
sleep 1
echo >&3 2>/dev/null
`,
  'sctp_check.sh': `#!/bin/sh
case $1 in *:*) target="SCTP6-CONNECT:[$1]:$2" ;; *) target="SCTP4-CONNECT:$1:$2" ;; esac
exec timeout "$3" socat -u /dev/null "$target" 2>/dev/null
`,
};

/** Put them where configurations expect them. keepalived runs none that others than root may change. */
export async function writeCheckScripts(lvsDirectory: string): Promise<void> {
  const directory = join(lvsDirectory, 'check');
  await mkdir(directory, { recursive: true, mode: 0o755 });
  for (const [name, script] of Object.entries(SCRIPTS))
    await writeAtomically(join(directory, name), script, 0o755);
}
