import type { Route } from '../app.ts';
import { writeOwnCertificate } from '../own-certificate.ts';
import type { AgentSettings } from '../settings.ts';
import { OK } from './body.ts';

/**
 * The certificate with which the agent proves itself (contract D2).
 * @param use serve new connections with it
 */
export function ownCertificateRoutes(
  { server_cert, amphora_id }: Pick<AgentSettings, 'server_cert' | 'amphora_id'>,
  use: (pem: string) => void,
): Route[] {
  return [
    [
      'PUT',
      '/1.0/certificate',
      async (context) => {
        const pem = await context.req.text();
        await writeOwnCertificate(server_cert, pem, amphora_id);
        use(pem);
        return context.json(OK, 202);
      },
    ],
  ];
}
