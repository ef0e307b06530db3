import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * A member that says what reached it, as JSON: `echo-member.ts DIRECTORY`. On 8080 HTTP, on 8443 HTTP/1.1 and 2 over TLS
 * (member.pem in the directory), on 8081 whatever bytes come first, in hexadecimal.
 *
 * `/health` is 200 until `PUT /health?STATUS` says otherwise, for the address that was called; it wants the name
 * health.example.com. `/slow` takes a second. `/login` sets the cookie `app`.
 */
const [directory = '.'] = process.argv.slice(2);
const pem = readFileSync(`${directory}/member.pem`);
const health = new Map<string, number>();

type Request = IncomingMessage | Http2ServerRequest;

function answer(request: Request, response: ServerResponse | Http2ServerResponse): void {
  const { socket } = request;
  const { pathname, search } = new URL(request.url ?? '/', 'http://member');
  const member = socket.localAddress?.replace('::ffff:', '') ?? '';
  if (pathname === '/health') {
    if (request.method === 'PUT') health.set(member, Number(search.slice(1)));
    const host = request.headers[':authority'] ?? request.headers.host ?? '';
    const named = request.method === 'PUT' || host === 'health.example.com';
    response.statusCode = named ? (health.get(member) ?? 200) : 400;
    response.end();
    return;
  }
  if (pathname === '/login') response.setHeader('set-cookie', `app=${member}; path=/`);
  const { method, url, headers, httpVersion } = request;
  const tls = socket instanceof TLSSocket && {
    name: socket.servername,
    client: socket.getPeerCertificate().subject?.CN,
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
  };
  const text = JSON.stringify({
    member,
    method,
    url,
    headers,
    httpVersion,
    from: socket.remotePort,
    ...(tls && { tls }),
  });
  const slow = pathname === '/slow';
  setTimeout(() => response.end(text), slow ? 1_000 : 0);
}

createServer(answer).listen(8080, '::');
createSecureServer(
  { key: pem, cert: pem, requestCert: true, rejectUnauthorized: false, allowHTTP1: true },
  answer,
).listen(8443, '::');
createTcpServer((socket) => {
  socket.once('data', (first: Buffer) => {
    const body = first.toString('hex');
    socket.end(`HTTP/1.0 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  });
  socket.on('error', () => {});
}).listen(8081, '::');
