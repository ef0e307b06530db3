import { type Context, Hono } from 'hono';
import {
  type DeadLetter,
  deadLetterAttributes,
  recordAudit,
  selectActors,
  selectDeadLetters,
  takeDeadLetter,
} from '../../store/actors.ts';
import type { Queryable } from '../../store/database.ts';
import type { AdminEnv } from '../admin.ts';
import type { Api } from '../api.ts';
import { conflict, notFound } from '../fault.ts';
import { answerList, pathId, type Resource } from '../resource.ts';

const deadLetters: Resource<'dead_letters', DeadLetter> = {
  title: 'Dead Letter',
  root: 'dead_letter',
  plural: 'dead_letters',
  select: selectDeadLetters,
  attributes: deadLetterAttributes,
  present: (row) => ({ ...row }),
};

/** `/amphorae/actors/dead-letters`: events that their actor could not process. */
export function deadLetterRoutes({ db, mailbox }: Api): Hono<AdminEnv> {
  const routes = new Hono<AdminEnv>();

  routes.get('/', (context) => answerList(context, db, deadLetters));

  /** Take the letter in the path away, with an entry in the audit. */
  const take = async (transaction: Queryable, context: Context<AdminEnv>, action: string) => {
    const id = pathId(context, 'Dead Letter');
    const letter = await takeDeadLetter(transaction, id);
    if (letter === undefined) throw notFound('Dead Letter', id);
    await recordAudit(transaction, {
      operator: context.get('operator'),
      action,
      actor: { kind: letter.actor_kind, id: letter.actor_id },
      payload: { event: letter.event, error: letter.error },
    });
    return letter;
  };

  routes.post('/:id/retry', async (context) => {
    const envelope = await db.transaction().execute(async (transaction) => {
      const { actor_kind: kind, actor_id: id, event } = await take(transaction, context, 'retry');
      const { type } = event as { type: string };
      // The effect or timer that it came from is gone: its actor would take it for another one's.
      if (type.startsWith('xstate.')) {
        throw conflict(`${type} is the result of an effect or a timer: it can be dropped, not sent again.`);
      }
      const actor = await selectActors(transaction)
        .where('actors.kind', '=', kind)
        .where('actors.id', '=', id)
        .executeTakeFirst();
      if (actor === undefined || actor.done) throw conflict(`${kind} ${id} has ended, or never was.`);
      return mailbox.send(
        transaction,
        { kind, id, loadBalancerId: actor.load_balancer_id },
        { ...event, type },
      );
    });
    mailbox.publish(envelope);
    return context.json({ message: { id: envelope.id, seq: envelope.seq, event: envelope.event } }, 202);
  });

  routes.delete('/:id', async (context) => {
    await db.transaction().execute((transaction) => take(transaction, context, 'drop'));
    return context.body(null, 204);
  });

  return routes;
}
