import type { Bus } from '../../src/actors/bus.ts';
import { systemClock } from '../../src/actors/clock.ts';
import { inboxAt } from '../../src/actors/inbox.ts';

/** A bus that carries nothing. */
export const silentBus: Bus = {
  publish: () => {},
  subscribe: () => () => {},
  openInbox: () => inboxAt('nowhere', systemClock, () => () => {}),
  reply: () => {},
  close: async () => {},
};
