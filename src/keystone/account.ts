/** The account that this service has at Keystone: a user with a password, or an application credential. */
export interface ServiceAccount {
  /** Keystone's address, with or without `/v3`. */
  authUrl: string;
  /** PEM of the certificate authorities to trust; absent: those of the system. */
  ca?: string | undefined;
  method:
    | { password: { user: NamedIn; password: string; project: NamedIn } }
    | { applicationCredential: { id: string; secret: string } };
}

/** Something that has an id, or a name in a domain. */
export type NamedIn = { id: string } | { name: string; domain: { id: string } | { name: string } };

/** Where an account logs in, without a trailing slash. */
export const identityUrl = ({ authUrl }: ServiceAccount): string =>
  `${authUrl.replace(/\/+$/, '').replace(/\/v3$/, '')}/v3`;

/** The body of a token request (Identity API v3). */
export function authenticationBody({ method }: ServiceAccount): object {
  if ('applicationCredential' in method) {
    const { applicationCredential } = method;
    return {
      auth: {
        identity: { methods: ['application_credential'], application_credential: applicationCredential },
      },
    };
  }
  const { user, password, project } = method.password;
  return {
    auth: {
      identity: { methods: ['password'], password: { user: { ...user, password } } },
      scope: { project },
    },
  };
}
