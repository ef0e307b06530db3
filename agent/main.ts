import { mkdirSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createLogger } from '../src/logging/logger.ts';
import { createApp } from './app.ts';
import { Certificates } from './certificates.ts';
import { readDetails } from './details.ts';
import { EpochFence } from './epoch.ts';
import { Haproxies } from './haproxy/haproxies.ts';
import { installPingCheck } from './haproxy/ping-check.ts';
import { Deltas } from './heartbeat/deltas.ts';
import { Heartbeats } from './heartbeat/heartbeats.ts';
import { observeAmphora } from './heartbeat/observe.ts';
import { countStart } from './heartbeat/start-count.ts';
import { Interfaces } from './interfaces/interfaces.ts';
import { KernelInterfaces } from './interfaces/kernel.ts';
import { Health } from './keepalived/health.ts';
import { Keepalived } from './keepalived/keepalived.ts';
import { vrrpState } from './keepalived/state.ts';
import { Ipvs } from './lvs/ipvs.ts';
import { Lvs } from './lvs/lvs.ts';
import { Namespace } from './namespace.ts';
import { Firewall } from './nftables/firewall.ts';
import { agentRoutes } from './routes/routes.ts';
import { serve } from './server.ts';
import { readSettings } from './settings.ts';
import { Versions } from './versions.ts';

export interface Agent {
  port: number;
  close(): Promise<void>;
}

/**
 * Run the agent of one amphora, with the settings in that file, until `close` is called. What it started (haproxy, keepalived) and configured
 * (interfaces, firewall) stays when it ends, and is taken over by the next run.
 */
export async function runAgent(configFile: string): Promise<Agent> {
  const settings = readSettings(configFile);
  const log = createLogger({
    level: settings.log_level,
    secrets: settings.heartbeat === undefined ? [] : [settings.heartbeat.key],
    base: { amphora_id: settings.amphora_id },
  });
  mkdirSync(settings.state_dir, { recursive: true, mode: 0o755 });
  mkdirSync(settings.run_dir, { recursive: true, mode: 0o700 });
  const fence = await EpochFence.load(settings.state_dir);
  const namespace = new Namespace(settings);
  const versions = new Versions(settings);
  await namespace.create();

  const firewall = new Firewall({ namespace, settings, log });
  const interfaces = await Interfaces.load({
    kernel: new KernelInterfaces(namespace, settings.ip_path),
    settings,
    log,
    onChange: (list) => firewall.setInterfaces(list),
  });
  await firewall.restore(interfaces.forFirewall());
  if (firewall.open || settings.firewall === 'sriov') await namespace.speak();
  await namespace.open();
  await interfaces.restore();
  const haproxies = new Haproxies({ namespace, settings, log });
  const lvs = new Lvs({ namespace, settings, ipvs: new Ipvs(namespace), log });
  const keepalived = new Keepalived({ namespace, settings, log });
  const certificates = new Certificates(settings.run_dir, settings.state_dir);
  const health = new Health({
    path: join(settings.state_dir, 'vrrp/health'),
    serves: async () => (await haproxies.serve()) && (await lvs.serve()),
    log,
  });
  await installPingCheck(settings.state_dir);
  await Promise.all([haproxies.resume(), lvs.resume()]);
  if (settings.topology === 'ACTIVE_STANDBY') await health.start();
  await keepalived.resume();

  const state = () => vrrpState({ keepalived, interfaces, health });
  const heartbeats = new Heartbeats({
    amphoraId: settings.amphora_id,
    start: await countStart(settings.state_dir),
    observe: observeAmphora({
      haproxies,
      lvs,
      keepalived,
      vrrpState: state,
      deltas: new Deltas(settings.run_dir),
    }),
    log,
  });

  const routes = agentRoutes({
    settings,
    config: {
      path: configFile,
      amphoraId: settings.amphora_id,
      apply: ({ heartbeat }) => heartbeats.configure(heartbeat),
    },
    versions,
    details: () => readDetails({ settings, namespace, versions, haproxies, lvs, vrrpState: state }),
    namespace,
    interfaces,
    firewall,
    haproxies,
    lvs,
    keepalived,
    certificates,
    setCertificate: (pem) => server.setCertificate(pem),
  });
  const server = await serve(createApp({ fence, log, routes }), settings, log);
  heartbeats.configure(settings.heartbeat);
  log.info({ address: settings.bind_address, port: server.port }, 'agent ready');
  return {
    port: server.port,
    async close() {
      await server.close();
      health.stop();
      firewall.release();
      await heartbeats.close();
      haproxies.release();
      lvs.release();
      keepalived.release();
    },
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  if (!values.config) throw new Error('usage: node agent/main.ts --config FILE');
  const agent = await runAgent(values.config);
  // What ends an amphora seldom lets its agent exit.
  flushCompileCache();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void agent.close().then(() => process.exit(0)));
  }
}
