import type { ActorKind } from '../machines/address.ts';
import type { ErrorKind, ErrorRecord } from '../model/errors.ts';
import { nameInWords } from './words.ts';

/** Why an actor failed. */
export interface Reason {
  /** What kind of failure it is and what that means, as a sentence. */
  words: string;
  /** Stable name of the failure. */
  code: string;
  /** What the provider, the agent or the runtime itself said. */
  message: string;
}

const meaning: Record<ErrorKind, string> = {
  placement:
    'no place satisfies the request, or a quota is met. The same request succeeds only when there is more room',
  transient:
    'something that is needed did not answer or was busy, and did not come back in time. The same request may succeed later',
  terminal: 'the request was refused for good, or an object is broken. The cause has to be removed first',
};

/** The reason of a failure out of what an actor remembers; undefined when nothing failed. */
export function reasonOf(kind: ActorKind, context: object): Reason | undefined {
  const { error, failure } = context as {
    error?: ErrorRecord | null;
    failure?: { step: string; error: ErrorRecord } | null;
  };
  const record = kind === 'amphora' ? failure?.error : error;
  if (!record) return undefined;
  const where = failure ? `In the step ${nameInWords(failure.step)}, ` : '';
  const words = `${where}${meaning[record.kind]}.`;
  return {
    words: words.charAt(0).toUpperCase() + words.slice(1),
    code: record.code,
    message: record.message,
  };
}
