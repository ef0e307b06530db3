import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { InjectedEvent, injectEvent, type Order, resumeActor, type Sent } from '../actor-commands.ts';
import type { AdminEnv } from '../admin.ts';
import type { Api } from '../api.ts';
import { badRequest } from '../fault.ts';
import { actorOf, actorPath, namedActor } from './actor-path.ts';
import { answerPage } from './page.ts';
import { ownForms } from './session.ts';

/** Below `/debug/actors/:kind/:id`: what operators do to an actor, by forms. Each is shown once more before it is done. */
export function commandRoutes(api: Api): Hono<AdminEnv> {
  const routes = new Hono<AdminEnv>();
  const orderOf = (context: Context<AdminEnv>): Order => ({
    operator: context.get('operator'),
    find: (transaction) => namedActor(transaction, context),
  });

  routes.post('/:kind/:id/events', ...ownForms, async (context) => {
    const { type, attributes, confirmed } = fieldsOf(await context.req.parseBody());
    const event = eventOf(type, attributes);
    if (confirmed === 'yes') return answerSent(context, await injectEvent(api, orderOf(context), event));
    return confirm(context, 'Send this event?', { type, attributes }, JSON.stringify(event, null, 2));
  });

  routes.post('/:kind/:id/resume', ...ownForms, async (context) => {
    const { confirmed } = fieldsOf(await context.req.parseBody());
    if (confirmed === 'yes') return answerSent(context, await resumeActor(api, orderOf(context)));
    return confirm(context, 'Resume this actor?', {});
  });
  return routes;
}

/** The fields of a form, without files. */
function fieldsOf(body: Record<string, unknown>) {
  const field = (name: string) => (typeof body[name] === 'string' ? (body[name] as string) : '');
  return { type: field('type'), attributes: field('attributes'), confirmed: field('confirmed') };
}

/** @throws Fault 400 */
function eventOf(type: string, attributes: string): InjectedEvent {
  let given: unknown;
  try {
    given = JSON.parse(attributes.trim() === '' ? '{}' : attributes);
  } catch {
    throw badRequest('The attributes of the event are not valid JSON.');
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw badRequest('The attributes of the event should be a JSON object.');
  const event = InjectedEvent.safeParse({ ...given, type });
  if (!event.success) {
    const [issue] = event.error.issues;
    throw badRequest(`The event cannot be sent: ${issue?.path.join('.') || 'type'}: ${issue?.message}.`);
  }
  return event.data;
}

function confirm(
  context: Context,
  question: string,
  fields: Record<string, string>,
  details?: string,
): Promise<Response> {
  const { kind, id } = actorOf(context);
  const main = html`<section class="panel">
<p>${kind} <code>${id}</code></p>
${details && html`<pre tabindex="0">${details}</pre>`}
<p>What you do is recorded with your name.</p>
<form method="post" class="row">
${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
<input type="hidden" name="confirmed" value="yes">
<button>Yes, do it</button> <a href="${actorPath({ kind, id })}">No, go back</a>
</form>
</section>`;
  return answerPage(context, { title: question, section: 'actors', main });
}

function answerSent(context: Context, { envelope, reply }: Sent): Promise<Response> {
  const { kind, id } = actorOf(context);
  const { tone, words } = outcome(reply);
  const main = html`<p class="banner" data-tone="${tone}" role="status">${words}</p>
<p>Message <code>${envelope.id}</code>, recorded in the audit.</p>
<p><a href="${actorPath({ kind, id })}">Back to the actor</a></p>`;
  const title = tone === 'ok' ? 'Done' : 'Sent';
  return answerPage(context, { title, section: 'actors', main }, reply ? 200 : 202);
}

function outcome(reply: Sent['reply']): { tone: 'ok' | 'bad' | 'busy'; words: string } {
  if (reply === undefined) {
    return {
      tone: 'busy',
      words: 'The message was stored. What becomes of it is not known yet: nobody answered in time.',
    };
  }
  const { fromState, toState, handled, error } = reply;
  if (error !== null) return { tone: 'bad', words: `The actor could not take it: ${error}.` };
  if (!handled) return { tone: 'busy', words: `The actor ignored it in ${fromState}.` };
  return { tone: 'ok', words: `The actor took it: from ${fromState} to ${toState}.` };
}
