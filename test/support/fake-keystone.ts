import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { PASSWORD, type Person, type Project, people, type TestKeystone } from './keystone.ts';

interface Token {
  person: Person;
  scoped: boolean;
  expires: Date;
}

/** As much of Keystone as `src/keystone` talks to, ready at once. It passes the same contract as the real one. */
export async function startFakeKeystone(
  lifetimeSeconds = 3600,
): Promise<TestKeystone & { validations(): number; forgetAll(): void }> {
  const tokens = new Map<string, Token>();
  const dismissed = new Set<Person>();
  const projects = Object.fromEntries(
    Object.values(people).map(({ project }) => [project, project.repeat(8).slice(0, 32)]),
  ) as Record<Project, string>;
  let validations = 0;
  let away = false;

  const issue = (person: Person, scoped: boolean): string => {
    const id = randomUUID();
    tokens.set(id, { person, scoped, expires: new Date(Date.now() + lifetimeSeconds * 1000) });
    return id;
  };
  const valid = (id: unknown): Token | undefined => {
    const token = tokens.get(String(id));
    if (token === undefined || token.expires.getTime() < Date.now() || dismissed.has(token.person))
      return undefined;
    return token;
  };
  const describe = ({ person, scoped, expires }: Token) => ({
    expires_at: expires.toISOString(),
    user: { id: `id-of-${person}`, name: person, domain: { id: 'default', name: 'Default' } },
    ...(scoped && {
      project: {
        id: projects[people[person].project],
        name: people[person].project,
        domain: { id: 'default', name: 'Default' },
      },
      roles: [{ id: 'r', name: people[person].role }],
    }),
  });

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const reply = (status: number, body: object, headers: Record<string, string> = {}) =>
      void response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body));
    if (away) return reply(503, {});
    if (request.method === 'POST') {
      const { auth } = JSON.parse(await text(request)) as {
        auth: { identity: { password: { user: { name: string; password: string } } } };
      };
      const { name, password } = auth.identity.password.user;
      if (!(name in people) || password !== PASSWORD) return reply(401, { error: { code: 401 } });
      const id = issue(name as Person, true);
      return reply(201, { token: describe(tokens.get(id) as Token) }, { 'x-subject-token': id });
    }
    validations += 1;
    if (valid(request.headers['x-auth-token']) === undefined) return reply(401, { error: { code: 401 } });
    const subject = valid(request.headers['x-subject-token']);
    return subject === undefined
      ? reply(404, { error: { code: 404 } })
      : reply(200, { token: describe(subject) });
  };

  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v3`,
    projects,
    token: async (person, project) => issue(person, project !== null),
    revoke: async (token) => void tokens.delete(token),
    dismiss: async (person) => void dismissed.add(person),
    async withoutIt(work) {
      away = true;
      await work();
      away = false;
    },
    validations: () => validations,
    forgetAll: () => tokens.clear(),
    async stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
