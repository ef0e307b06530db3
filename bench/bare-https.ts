import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

// The floor of `agent.ts`: does nothing but answer over mutual TLS, with the identity in the file that is named; writes its port.
const options = { ...JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')), requestCert: true };
const server = createServer(options, (_, response) => response.end('{}'));
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' && address?.port}\n`);
});
