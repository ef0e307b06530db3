import type { AmphoraNode, LoadBalancerTrunk } from '../model/graph.ts';
import { CONTROLLER_NAME } from './certificate-authority.ts';
import type { HeartbeatSettings } from './dependencies.ts';

export const SERVER_CERTIFICATE = '/etc/octavia/certs/server.pem';
export const CLIENT_AUTHORITY = '/etc/octavia/certs/client_ca.pem';

/** What the agent of an amphora is told about itself and its controllers (contract F3), as JSON. */
export function agentSettings(
  trunk: LoadBalancerTrunk,
  amphora: AmphoraNode,
  heartbeat: HeartbeatSettings | undefined,
): string {
  return JSON.stringify({
    amphora_id: amphora.id,
    topology: trunk.topology,
    controller_name: CONTROLLER_NAME,
    server_cert: SERVER_CERTIFICATE,
    client_ca: CLIENT_AUTHORITY,
    heartbeat,
  });
}
