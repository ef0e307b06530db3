import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '../files.ts';

/**
 * haproxy runs it with the backend's address and port, then the server's, and ends it when the check's time is up. A member
 * that is monitored at another address has it in the search path, as `/NAME=ADDRESS/`.
 */
const SCRIPT = `#!/bin/sh
address=$3
case $PATH in
  *"/$HAPROXY_SERVER_NAME="*)
    address=\${PATH##*"/$HAPROXY_SERVER_NAME="}
    address=\${address%%/*}
    ;;
esac
exec ping -n -q -c 1 "$address" >/dev/null 2>&1
`;

/** Put the program there that answers haproxy's external checks, where haproxy, which is nobody, may run it. */
export async function installPingCheck(stateDir: string): Promise<void> {
  await chmod(stateDir, 0o755);
  await writeAtomically(join(stateDir, 'ping-wrapper.sh'), SCRIPT, 0o755);
}
