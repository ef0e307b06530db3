import { isIPv6 } from 'node:net';
import { Pool } from 'undici';
import type * as z from 'zod';
import { type AmphoraeError, TerminalError, TransientError } from '../model/errors.ts';
import type { AgentClient, AgentTarget } from './client.ts';
import { AGENT_PORT, EPOCH_HEADER, IN_FORCE_HEADER, STALE_EPOCH } from './headers.ts';
import { AmphoraDetails, AmphoraInfo, CertificateDigests } from './info.ts';

export interface AgentClientOptions {
  /** The authority that signs agents' certificates, PEM. */
  ca: string;
  /** The controller's own certificate and key, PEM. */
  cert: string;
  key: string;
  /** Deadline of one call. */
  requestSeconds: number;
  port?: number;
}

interface AgentRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  json?: unknown;
  text?: string;
  /** Status that is success besides 2xx. */
  also?: number;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** undefined when the body is not JSON. */
  body: Record<string, unknown> | undefined;
}

/** Connections to one agent. Its work is serialised anyway; a second one lets `info` pass a long push. */
const CONNECTIONS = 2;
const IDLE_MS = 30_000;
const CONNECT_MS = 10_000;

/**
 * An AgentClient over mutual TLS. Connections are kept per amphora while they are in use, and an agent is only
 * believed when its certificate carries the amphora's id, whatever the address.
 */
export function createAgentClient(options: AgentClientOptions): AgentClient {
  const pools = new Map<string, Pool>();

  function poolOf({ amphoraId, address }: AgentTarget): Pool {
    const host = isIPv6(address) ? `[${address}]` : address;
    const origin = `https://${host}:${options.port ?? AGENT_PORT}`;
    const key = `${amphoraId} ${origin}`;
    const known = pools.get(key);
    if (known) return known;
    const { ca, cert, key: privateKey } = options;
    const pool = new Pool(origin, {
      connections: CONNECTIONS,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      connect: {
        ca,
        cert,
        key: privateKey,
        servername: amphoraId,
        timeout: Math.min(CONNECT_MS, options.requestSeconds * 1_000),
        minVersion: 'TLSv1.2',
      },
    });
    // With its last connection the pool goes too, or amphorae that no longer exist would pile up.
    pool.on('disconnect', () => {
      const { connected, pending, queued, running } = pool.stats;
      if (connected + pending + queued + running > 0 || pools.get(key) !== pool) return;
      pools.delete(key);
      void pool.close();
    });
    pools.set(key, pool);
    return pool;
  }

  async function call(target: AgentTarget, request: AgentRequest): Promise<Answer> {
    const answer = await send(poolOf(target), target, request, options.requestSeconds);
    if ((answer.status >= 200 && answer.status < 300) || answer.status === request.also) return answer;
    throw classify(target, request, answer);
  }

  async function read<T extends z.ZodType>(
    target: AgentTarget,
    path: string,
    schema: T,
  ): Promise<z.output<T>> {
    const { body } = await call(target, { method: 'GET', path });
    return understand(target, path, body, schema);
  }

  async function tell(target: AgentTarget, request: AgentRequest): Promise<void> {
    await call(target, request);
  }

  return {
    info: (target) => read(target, '/1.0/info', AmphoraInfo),
    details: (target) => read(target, '/1.0/details', AmphoraDetails),
    configure: (target, text) => tell(target, { method: 'PUT', path: '/1.0/config', text }),
    plugVip: (target, vip, json) =>
      tell(target, { method: 'POST', path: `/1.0/plug/vip/${vip}`, json, also: 409 }),
    plugNetwork: (target, json) => tell(target, { method: 'POST', path: '/1.0/plug/network', json }),
    async uploadHaproxy(target, id, text) {
      const path = `/1.0/loadbalancer/${target.amphoraId}/${id}/haproxy`;
      const { headers } = await call(target, { method: 'PUT', path, text });
      return { inForce: headers[IN_FORCE_HEADER] === 'true' };
    },
    reloadHaproxy: (target, id) => tell(target, { method: 'PUT', path: `/1.0/loadbalancer/${id}/reload` }),
    deleteHaproxy: (target, id) =>
      tell(target, { method: 'DELETE', path: `/1.0/listeners/${id}`, also: 404 }),
    async listCertificates(target, id) {
      const path = certificatesOf(id);
      const { status, body } = await call(target, { method: 'GET', path, also: 404 });
      // Octavia's agent has no such list: what it has is found out by storing it again.
      return status === 404 ? {} : understand(target, path, body, CertificateDigests);
    },
    uploadCertificate: (target, id, file, text) =>
      tell(target, { method: 'PUT', path: `${certificatesOf(id)}/${file}`, text }),
    deleteCertificate: (target, id, file) =>
      tell(target, { method: 'DELETE', path: `${certificatesOf(id)}/${file}`, also: 404 }),
    setSecurityGroup: (target, json) => tell(target, { method: 'POST', path: '/1.0/security-group', json }),
    uploadLvs: (target, id, text) =>
      tell(target, { method: 'PUT', path: `/1.0/listeners/${target.amphoraId}/${id}/udp_listener`, text }),
    reloadLvs: (target, id) => tell(target, { method: 'PUT', path: `/1.0/loadbalancer/${id}/reload` }),
    deleteLvs: (target, id) => tell(target, { method: 'DELETE', path: `/1.0/listeners/${id}`, also: 404 }),
    uploadKeepalived: (target, text) => tell(target, { method: 'PUT', path: '/1.0/vrrp/upload', text }),
    reloadKeepalived: (target) => tell(target, { method: 'PUT', path: '/1.0/vrrp/reload' }),
    async close() {
      const open = [...pools.values()];
      pools.clear();
      await Promise.all(open.map((pool) => pool.destroy()));
    },
  };
}

const certificatesOf = (loadBalancerId: string) => `/1.0/loadbalancer/${loadBalancerId}/certificates`;

function understand<T extends z.ZodType>(
  target: AgentTarget,
  path: string,
  body: unknown,
  schema: T,
): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problem = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new TerminalError(
    'agent_refused',
    `${describe(target)} gave an answer to ${path} that is wrong: ${problem}`,
  );
}

async function send(
  pool: Pool,
  target: AgentTarget,
  request: AgentRequest,
  seconds: number,
): Promise<Answer> {
  const { method, path, json, text } = request;
  const body = json === undefined ? text : JSON.stringify(json);
  const signal = AbortSignal.any([target.signal, AbortSignal.timeout(seconds * 1_000)]);
  try {
    const sent = pool.request({
      method,
      path,
      headers: {
        // An agent of Octavia, and the log tests of its users, look for this beginning.
        'user-agent': 'Octavia HaProxy Rest Client/1.0 (amphorae)',
        [EPOCH_HEADER]: String(target.epoch),
        ...(body !== undefined && { 'content-type': json === undefined ? 'text/plain' : 'application/json' }),
      },
      body: body ?? null,
      signal,
    });
    const response = await Promise.race([sent, aborted(signal)]);
    return {
      status: response.statusCode,
      headers: response.headers,
      body: parseJson(await response.body.text()),
    };
  } catch (error) {
    const { message } = error as Error;
    throw new TransientError(
      'agent_unreachable',
      `${describe(target)} did not answer ${method} ${path}: ${message}`,
      {
        cause: error,
      },
    );
  }
}

/** Rejects when the signal is aborted: undici looks at it only once there is a connection. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function classify(
  target: AgentTarget,
  { method, path }: AgentRequest,
  { status, body }: Answer,
): AmphoraeError {
  const reason = [body?.message ?? body?.error, body?.details].filter(Boolean).join(': ');
  const message = `${describe(target)} answered ${status} to ${method} ${path}: ${reason || 'no reason given'}`;
  if (status === 412 && body?.code === STALE_EPOCH) return new TerminalError(STALE_EPOCH, message);
  // 404 without JSON comes from an agent that is still starting (contract D1).
  const notThereYet = status === 404 && (!body || reason.includes('No suitable network interface found'));
  if (status >= 500 || notThereYet) return new TransientError('agent_unreachable', message);
  return new TerminalError('agent_refused', message);
}

function describe({ amphoraId, address }: AgentTarget): string {
  return `the agent of amphora ${amphoraId} at ${address}`;
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
