import type { ListenerNode } from '../model/graph.ts';

const address = '%[src]';

/** Value of each header that can be inserted (contract A9, E3), in haproxy's format. */
const values: Record<string, string> = {
  'X-Forwarded-Port': '%[dst_port]',
  'X-Forwarded-IP': address,
  'X-Client-IP': address,
  'X-Real-IP': address,
};

/** Those about the client's certificate, where TLS ends at the listener. */
const tlsValues: Record<string, string> = {
  'X-SSL-Client-Verify': '%[ssl_c_verify]',
  'X-SSL-Client-Has-Cert': '%[ssl_c_used]',
  'X-SSL-Client-DN': '%[ssl_c_s_dn]',
  'X-SSL-Client-CN': '%[ssl_c_s_dn(cn)]',
  'X-SSL-Issuer': '%[ssl_c_i_dn]',
  'X-SSL-Client-SHA1': '%[ssl_c_sha1,hex]',
  'X-SSL-Client-Not-Before': '%[ssl_c_notbefore]',
  'X-SSL-Client-Not-After': '%[ssl_c_notafter]',
};

/** What a listener inserts into the requests that it passes on. What a client sent under such a name is replaced. */
export function headerLines(listener: ListenerNode): string[] {
  const overTls = listener.protocol === 'TERMINATED_HTTPS';
  const known: Record<string, string> = {
    ...values,
    'X-Forwarded-Proto': overTls ? 'https' : 'http',
    ...(overTls && tlsValues),
  };
  return Object.entries(listener.insertHeaders).flatMap(([name, wanted]) => {
    if (wanted.toLowerCase() !== 'true') return [];
    if (name === 'X-Forwarded-For') return ['option forwardfor'];
    return Object.hasOwn(known, name) ? [`http-request set-header ${name} ${known[name]}`] : [];
  });
}
