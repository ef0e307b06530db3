import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { faultBody } from './fault.ts';

export interface ServedApi {
  /** Where it listens: `http://host:port`, with the port that was chosen for 0. */
  url: string;
  /** Stop accepting, let running requests end, then drop what is left. */
  close(): Promise<void>;
}

export interface ServerLimits {
  /** Connections at once; more are closed. */
  connections: number;
  /** How long a client may take to send a request. */
  requestMs: number;
}

/** Sending a header is a matter of one packet. */
const HEADER_MS = 20_000;
/** How often slow clients are looked for. */
const CHECK_MS = 5_000;

/** How long requests may run on after `close`. */
const CLOSE_DEADLINE_MS = 10_000;

/**
 * Serve the API over HTTP.
 * @param listen `host:port`; IPv6 hosts in brackets.
 * @throws the system's error when the address cannot be had (EADDRINUSE, EADDRNOTAVAIL, ...)
 */
export async function serveApi(app: Hono, listen: string, limits?: ServerLimits): Promise<ServedApi> {
  const { host, port } = parseListen(listen);
  const server = createServer(
    {
      requestTimeout: limits?.requestMs ?? 60_000,
      headersTimeout: Math.min(HEADER_MS, limits?.requestMs ?? HEADER_MS),
      connectionsCheckingInterval: Math.min(CHECK_MS, limits?.requestMs ?? CHECK_MS),
    },
    getRequestListener(app.fetch, {
      // Only a request that is no HTTP (a malformed Host header) gets here: the app answers its own errors.
      errorHandler: () => Response.json(faultBody(400, 'Malformed request.'), { status: 400 }),
    }),
  );
  if (limits !== undefined) server.maxConnections = limits.connections;
  const running = new Set<ServerResponse>();
  server.on('request', (_, response) => {
    running.add(response);
    response.once('close', () => running.delete(response));
  });
  server.listen({ host, port });
  await once(server, 'listening');
  return { url: urlOf(server), close: () => close(server, running) };
}

function parseListen(listen: string): { host: string; port: number } {
  const separator = listen.lastIndexOf(':');
  return {
    host: listen.slice(0, separator).replace(/^\[|\]$/g, ''),
    port: Number(listen.slice(separator + 1)),
  };
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no address');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

async function close(server: Server, running: Set<ServerResponse>): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  // Connections that wait for another request would keep the server open.
  for (const response of running) response.shouldKeepAlive = false;
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_DEADLINE_MS);
  await closed;
  clearTimeout(timer);
}
