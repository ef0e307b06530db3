import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import type { Logger } from 'pino';
import type { AgentSettings } from './settings.ts';

/** A listening agent. */
export interface AgentServer {
  port: number;
  /** Serve new connections with this certificate and key (one PEM text); open connections keep the old one. */
  setCertificate(pem: string): void;
  /** Stop listening and end all connections. */
  close(): Promise<void>;
}

/**
 * Serve the application over mutual TLS. A connection lives only when its client certificate is signed by the
 * client CA, and is answered only when it carries the controller's name, where one is set.
 */
export async function serve(
  app: Hono,
  settings: Pick<
    AgentSettings,
    'bind_address' | 'bind_port' | 'server_cert' | 'client_ca' | 'controller_name' | 'tls_min_version'
  >,
  log: Logger,
): Promise<AgentServer> {
  const ca = readFileSync(settings.client_ca);
  const secure = (pem: string | Buffer) => ({
    cert: pem,
    key: pem,
    ca,
    minVersion: settings.tls_min_version,
  });
  const listener = getRequestListener(app.fetch);
  const server: Server = createServer(
    { ...secure(readFileSync(settings.server_cert)), requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      if (isController(request.socket as TLSSocket, settings.controller_name)) {
        void listener(request, response);
        return;
      }
      log.warn({ peer: request.socket.remoteAddress }, 'refused a client that is not the controller');
      const body = {
        error: `The client certificate does not name ${settings.controller_name}`,
        http_code: 403,
      };
      response
        .writeHead(403, { 'content-type': 'application/json', connection: 'close' })
        .end(JSON.stringify(body));
    },
  );
  server.on('tlsClientError', (error, socket) =>
    log.warn({ peer: socket.remoteAddress, reason: error.message }, 'refused a TLS connection'),
  );
  // The idle side of a pooled connection must be the client, or its next request meets a closing socket.
  server.keepAliveTimeout = 75_000;
  server.listen(settings.bind_port, settings.bind_address);
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    setCertificate: (pem) => server.setSecureContext(secure(pem)),
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function isController(socket: TLSSocket, name: string | null): boolean {
  if (name === null) return true;
  const certificate = socket.getPeerX509Certificate();
  return (
    certificate instanceof X509Certificate && certificate.checkHost(name, { wildcards: false }) !== undefined
  );
}
