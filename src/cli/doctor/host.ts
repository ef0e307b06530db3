import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../../config.ts';
import { openDatabase } from '../../store/database.ts';
import { freeAddress } from '../up/address.ts';
import { asDaemonIfRoot } from '../up/child.ts';
import { lockDataDirectory } from '../up/data-directory.ts';
import { postgresPrograms } from '../up/private-postgres.ts';
import { type Finding, fail, ok, probe, warn } from './check.ts';

const OLDEST_NODE = 24;
/** A fresh database and its write-ahead log take 0.1 GB, up to 0.4 GB after much work. */
const LEAST_FREE_GB = 1;
/** Bits of capabilities(7). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 };
const CAP_SYS_RESOURCE = 24;
/** For 50,000 connections: two ends each, and half as many for the checks and pipes that haproxy allows for. */
const HAPROXY_OPEN_FILES = 125_042;

/** This process: its runtime and its rights. */
export function checkProcess({ netns }: { netns: boolean }): Finding[] {
  const major = Number(process.versions.node.split('.')[0]);
  const node =
    major >= OLDEST_NODE
      ? ok('node', process.version)
      : fail(
          'node',
          `${process.version}; ${OLDEST_NODE} or newer is needed`,
          'run bin/amphorae, which uses the one that npm installed',
        );
  return netns ? [node, checkRoot(), checkCapabilities(), checkOpenFiles()] : [node];
}

function checkRoot(): Finding {
  if (process.getuid?.() === 0) return ok('root', 'yes');
  return fail('root', 'no', 'network namespaces need root: run as root, or use --provider noop');
}

function checkCapabilities(): Finding {
  const missing = Object.entries(CAPABILITIES).filter(([, bit]) => !hasCapability(bit));
  if (missing.length === 0) return ok('capabilities', Object.keys(CAPABILITIES).join(' '));
  const names = missing.map(([name]) => name).join(' ');
  return fail(
    'capabilities',
    `missing ${names}`,
    'in a container, start it with --privileged or add these capabilities',
  );
}

/** haproxy raises its own limit where it may. */
function checkOpenFiles(): Finding {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '';
  if (hasCapability(CAP_SYS_RESOURCE)) return ok('open files', 'haproxy may raise its limit');
  if (limit === 'unlimited' || Number(limit) >= HAPROXY_OPEN_FILES) return ok('open files', limit);
  const most = Math.floor(Number(limit) / 2.5);
  return warn(
    'open files',
    `${limit}: an amphora takes about ${most} connections at once`,
    `raise the hard limit of open files to ${HAPROXY_OPEN_FILES} for more`,
  );
}

function hasCapability(bit: number): boolean {
  const effective = /^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}

/** The database: the private server can run, or the configured one answers. */
export async function checkDatabase(config: Config): Promise<Finding> {
  if (config.database_url) return checkOwnDatabase(config.database_url);
  try {
    const { postgres } = await postgresPrograms();
    const [program, ...args] = asDaemonIfRoot([postgres, '--version']);
    return ok('postgresql', (await probe([program as string, ...args])).replace(/^\D*/, ''));
  } catch (error) {
    const fix =
      'run npm install; as root, user namespaces must be allowed (sysctl user.max_user_namespaces); or set DATABASE_URL';
    return fail('postgresql', (error as Error).message, fix);
  }
}

async function checkOwnDatabase(url: string): Promise<Finding> {
  const { pool, close } = openDatabase(url, { maxConnections: 1, applicationName: 'amphorae-doctor' });
  try {
    const { rows } = await pool.query<{ server_version: string }>('SHOW server_version');
    return ok('postgresql', `${rows[0]?.server_version}, the one in --database-url`);
  } catch (error) {
    return fail(
      'postgresql',
      (error as Error).message,
      'check --database-url and that the server accepts it',
    );
  } finally {
    await close();
  }
}

/** Where `up` would work: its directory, the space there, its address. */
export async function checkPlace(config: Config): Promise<Finding[]> {
  const existing = nearestExisting(config.data_dir);
  const { bavail, bsize } = await statfs(existing);
  const freeGb = (bavail * bsize) / 1e9;
  const space = `${freeGb.toFixed(1)} GB free at ${existing}`;
  return [
    checkWritable(config.data_dir, existing),
    freeGb >= LEAST_FREE_GB
      ? ok('disk', space)
      : warn('disk', space, `have ${LEAST_FREE_GB} GB free, or choose another --data-dir`),
    await checkAddress(config),
  ];
}

function checkWritable(dataDir: string, existing: string): Finding {
  try {
    accessSync(existing, constants.W_OK);
    return ok('data_dir', dataDir);
  } catch {
    return fail('data_dir', `${existing} is not writable`, 'choose another --data-dir');
  }
}

async function checkAddress(config: Config): Promise<Finding> {
  try {
    await freeAddress(config.listen);
    return ok('listen', `${config.listen} is free`);
  } catch (error) {
    if (await isUpRunning(config.data_dir))
      return ok('listen', `${config.listen}, where \`amphorae up\` is running`);
    return fail('listen', (error as Error).message, 'choose another --listen');
  }
}

async function isUpRunning(dataDir: string): Promise<boolean> {
  if (!existsSync(dataDir)) return false;
  try {
    await (await lockDataDirectory(dataDir)).release();
    return false;
  } catch {
    return true;
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

/** SR-IOV NICs, for information: there are stand-ins where there are none. */
export function checkSriov(): Finding {
  const nics = readdirSync('/sys/class/net').flatMap((nic) => {
    const device = join('/sys/class/net', nic, 'device');
    const total = readNumber(join(device, 'sriov_totalvfs'));
    return total ? [`${nic} (${readNumber(join(device, 'sriov_numvfs'))} of ${total} VFs enabled)`] : [];
  });
  return ok('sr-iov', nics.length > 0 ? nics.join(', ') : 'no NIC here: direct ports are macvlan stand-ins');
}

function readNumber(path: string): number {
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
}
