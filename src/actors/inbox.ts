import { TransientError } from '../model/errors.ts';
import type { Inbox, Reply } from './bus.ts';
import type { Clock } from './clock.ts';

/** Code of the error of an inbox in which nothing came in time. */
export const NO_REPLY = 'no_reply';

/**
 * An inbox on whatever carries replies.
 * @param listen begins to receive what comes to the address; the function that it returns ends that.
 */
export function inboxAt(
  address: string,
  clock: Pick<Clock, 'after'>,
  listen: (receive: (reply: Reply) => void) => () => void,
): Inbox {
  let receive = (_: Reply) => {};
  const received = new Promise<Reply>((resolve) => {
    receive = resolve;
  });
  const close = listen((reply) => receive(reply));
  return {
    address,
    close,
    reply: (deadlineMs) =>
      new Promise((resolve, reject) => {
        const cancel = clock.after(deadlineMs, () =>
          reject(
            new TransientError(
              NO_REPLY,
              `the actor has not said within ${deadlineMs / 1000} s what became of the message; it is still in its mailbox, or was just taken`,
            ),
          ),
        );
        received.then((reply) => {
          cancel();
          resolve(reply);
        });
      }),
  };
}
