import type { Bus, Envelope } from '../../actors/bus.ts';
import type { RowChangeCompiler } from '../../actors/commit-statement.ts';
import { Mailbox } from '../../actors/mailbox.ts';
import { PostgresActorStore } from '../../actors/postgres-store.ts';
import type { Commit, CommitResult } from '../../actors/store.ts';

/** The runtime's store; calls `announce` when a commit has changed what users see. */
export class AnnouncingStore extends PostgresActorStore {
  readonly #announce: () => void;

  constructor(
    pool: ConstructorParameters<typeof PostgresActorStore>[0],
    compileRowChanges: RowChangeCompiler,
    announce: () => void,
  ) {
    super(pool, compileRowChanges);
    this.#announce = announce;
  }

  override async commit(commit: Commit): Promise<CommitResult> {
    const committed = await super.commit(commit);
    const changed = [commit, ...commit.followers].some(({ outcome }) => outcome.rowChanges.length > 0);
    if (committed.result === 'committed' && changed) this.#announce();
    return committed;
  }
}

/** The API's way to the actors; calls `announce` when a request has been committed. */
export class AnnouncingMailbox extends Mailbox {
  readonly #announce: () => void;

  constructor(bus: Bus, announce: () => void) {
    super(bus);
    this.#announce = announce;
  }

  override publish(...envelopes: Envelope[]): void {
    super.publish(...envelopes);
    this.#announce();
  }
}
