import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../files.ts';

/** haproxy runs it with the backend's address and port, then the server's, and ends it when the check's time is up. */
const SCRIPT = `#!/bin/sh
exec ping -n -q -c 1 "$3" >/dev/null 2>&1
`;

/** Put the program there that answers haproxy's external checks, where haproxy, which is nobody, may run it. */
export async function installPingCheck(stateDir: string): Promise<void> {
  await chmod(stateDir, 0o755);
  await writeAtomically(join(stateDir, 'ping-wrapper.sh'), SCRIPT, 0o755);
}
