import type { TLSSocket } from 'node:tls';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { csrf } from 'hono/csrf';
import { html } from 'hono/html';
import { adminOnly } from '../admin.ts';
import type { Api } from '../api.ts';
import { type Access, callerWith } from '../auth/authenticate.ts';
import { allows } from '../auth/guard.ts';
import { Fault } from '../fault.ts';
import { answerPage, type Fragment } from './page.ts';

const COOKIE = 'amphorae_token';
const LOGIN = '/debug/login';

/** What operators may do to actors through the REST API, which is what these pages do. */
const ACTION = 'amphorae_api:actor';

/** Forms are small. */
const FORM_BYTES = 65_536;

/** Lets nobody but administrators on, and takes forms from our own pages only. Browsers are shown where to log in. */
export function signedIn(api: Api): MiddlewareHandler[] {
  const identify: MiddlewareHandler = async (context, next) => {
    const token = context.req.header('x-auth-token') ?? getCookie(context, COOKIE);
    try {
      context.set('caller', await admittedCaller(api, token));
    } catch (error) {
      const navigates = context.req.method === 'GET' && context.req.header('accept')?.includes('text/html');
      if (error instanceof Fault && error.status === 401 && navigates) return context.redirect(LOGIN, 303);
      throw error;
    }
    await next();
  };
  return [identify, adminOnly as unknown as MiddlewareHandler];
}

/** What a form has to be, whoever sends it: small, and not made by a page of somebody else. */
export const ownForms = [csrf(), bodyLimit({ maxSize: FORM_BYTES })] as const;

/** `/debug/login` and `/debug/logout`: the browser keeps a token of Keystone for us, where no script can read it. */
export function sessionRoutes(api: Api): Hono {
  const routes = new Hono();
  routes.get('/login', (context) => loginPage(context, api.access));

  routes.post('/login', ...ownForms, async (context) => {
    const { access } = api;
    if (access === undefined) return context.redirect('/debug/', 303);
    const { token: given } = await context.req.parseBody();
    const token = typeof given === 'string' ? given.trim() : '';
    try {
      await admittedCaller(api, token);
    } catch (error) {
      if (!(error instanceof Fault) || error.status >= 500) throw error;
      const problem = error.status === 401 ? 'The token is not valid, or not any more.' : error.message;
      return loginPage(context, access, { status: error.status === 401 ? 401 : 403, problem });
    }
    const subject = await access.subject(token);
    setCookie(context, COOKIE, token, {
      ...{ path: '/debug', httpOnly: true, sameSite: 'Strict', secure: isEncrypted(context) },
      ...(subject && { expires: subject.expiresAt }),
    });
    return context.redirect('/debug/', 303);
  });

  routes.post('/logout', ...ownForms, (context) => {
    deleteCookie(context, COOKIE, { path: '/debug' });
    return context.redirect(LOGIN, 303);
  });
  return routes;
}

/** Who is logged in, on each page; nothing where nobody has to. */
export function signedInAs(context: Context): Fragment {
  const { name, subject } = context.get('caller');
  if (subject === undefined) return html``;
  return html`<form method="post" action="/debug/logout" class="row"><span class="soft">${name}</span> <button>Log out</button></form>`;
}

/** @throws Fault 401, 403, 503 */
async function admittedCaller(api: Api, token: string | undefined) {
  const caller = await callerWith(api, token);
  if (api.access !== undefined && !allows(api.access, caller, ACTION, caller.projectId)) {
    throw new Fault(403, 'Only administrators may see this. Log in with the token of one.');
  }
  return caller;
}

/** By TLS here, or as a proxy before us says. */
function isEncrypted({ req, env }: Context): boolean {
  const socket = (env as { incoming?: { socket: Partial<TLSSocket> } } | undefined)?.incoming?.socket;
  return socket?.encrypted === true || req.header('x-forwarded-proto') === 'https';
}

function loginPage(
  context: Context,
  access: Access | undefined,
  refused?: { status: 401 | 403; problem: string },
): Response | Promise<Response> {
  if (access === undefined) return context.redirect('/debug/', 303);
  const main = html`${refused && html`<p class="banner" data-tone="bad" role="alert">${refused.problem}</p>`}
<section class="panel">
<p>These pages are for administrators. Get a token of Keystone at <code>${access.keystoneUrl}</code>, for example with
<code>openstack token issue -f value -c id</code>, and paste it here. Your browser keeps it until it expires or you log out, and shows it to
this server only.</p>
<form method="post" action="${LOGIN}">
<p><label>Token <input name="token" type="password" required maxlength="8192" autocomplete="off" spellcheck="false"></label></p>
<p><button>Log in</button></p>
</form>
</section>`;
  return answerPage(context, { title: 'Log in', section: 'actors', main }, refused?.status);
}
