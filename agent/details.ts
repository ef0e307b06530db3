import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import type { AmphoraDetails, VrrpState } from '../src/amphora-api/info.ts';
import { readOptional } from './files.ts';
import type { Haproxies } from './haproxy/haproxies.ts';
import type { Lvs } from './lvs/lvs.ts';
import type { Namespace } from './namespace.ts';
import type { AgentSettings } from './settings.ts';
import type { Versions } from './versions.ts';

interface DetailsParts {
  settings: Pick<AgentSettings, 'state_dir' | 'topology'>;
  namespace: Pick<Namespace, 'deviceCounts'>;
  versions: Versions;
  haproxies: Haproxies;
  lvs: Pick<Lvs, 'listeners' | 'runningCount'>;
  vrrpState(): Promise<VrrpState | null>;
}

/** Answer of `GET /1.0/details` (contract D3): what the amphora runs, and how busy it is. */
export async function readDetails({
  settings,
  namespace,
  versions,
  haproxies,
  lvs,
  vrrpState,
}: DetailsParts): Promise<AmphoraDetails> {
  const [info, links, listeners, cpu, memory, disk, tuned, state] = await Promise.all([
    versions.info(),
    namespace.deviceCounts(),
    Promise.all([haproxies.listeners(), lvs.listeners()]),
    readFile('/proc/stat', 'utf8'),
    readFile('/proc/meminfo', 'utf8'),
    statfs(settings.state_dir),
    readOptional('/etc/tuned/active_profile'),
    vrrpState(),
  ]);
  return {
    ...info,
    networks: parseNetworks(links),
    active: true,
    haproxy_count: haproxies.runningCount,
    lvs_listener_process_count: lvs.runningCount,
    cpu_count: availableParallelism(),
    cpu: parseCpu(cpu),
    memory: parseMemory(memory),
    disk: { used: (disk.blocks - disk.bfree) * disk.bsize, available: disk.bavail * disk.bsize },
    load: loadavg(),
    active_tuned_profiles: tuned?.trim() ?? '',
    topology: settings.topology,
    topology_status: 'OK',
    vrrp_state: state,
    listeners: listeners.flat().map(({ uuid }) => uuid),
    packages: {},
  };
}

/** /proc/net/dev (man proc): name, eight counts of what was received, eight of what was sent; bytes come first. */
function parseNetworks(text: string): AmphoraDetails['networks'] {
  const interfaces = [...text.matchAll(/^\s*(\S+):\s*(\d+)(?:\s+\d+){7}\s+(\d+)/gm)];
  return Object.fromEntries(
    interfaces
      .filter(([, name]) => name !== 'lo')
      .map(([, name, received, sent]) => [name, { network_tx: Number(sent), network_rx: Number(received) }]),
  );
}

/** First line of /proc/stat (man proc), in clock ticks since boot. */
function parseCpu(text: string): AmphoraDetails['cpu'] {
  const ticks = text.slice(0, text.indexOf('\n')).split(/\s+/).slice(1).map(Number);
  const [user = 0, , system = 0, , , , softIrq = 0] = ticks;
  return { total: ticks.reduce((sum, value) => sum + value, 0), user, system, soft_irq: softIrq };
}

/** /proc/meminfo, in kB. */
function parseMemory(text: string): AmphoraDetails['memory'] {
  const kilobytes = new Map(
    [...text.matchAll(/^(\w+):\s+(\d+) kB$/gm)].map(([, key, value]) => [key, Number(value)]),
  );
  const of = (key: string) => kilobytes.get(key) ?? 0;
  return {
    total: of('MemTotal'),
    free: of('MemFree'),
    buffers: of('Buffers'),
    cached: of('Cached'),
    swap_used: of('SwapTotal') - of('SwapFree'),
    shared: of('Shmem'),
    slab: of('Slab'),
  };
}
