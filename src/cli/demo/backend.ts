import { createServer } from 'node:http';

/** The smallest backend: `backend.ts PORT TEXT` answers every request with TEXT. */
const [port, text] = process.argv.slice(2);
createServer((_request, response) => response.end(`${text}\n`)).listen(Number(port), '::');
