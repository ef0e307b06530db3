import { test } from 'uvu';
import { Random } from '../simulation/random.ts';
import { SimulatedStore } from '../simulation/store.ts';
import { storeContract } from './actor-store.ts';

storeContract(async () => {
  let now = 0;
  const store = new SimulatedStore({ now: () => now, random: new Random(1), applyRowChange: () => {} });
  return {
    store,
    spawn: async (address, input) => store.spawn(address, input),
    send: async (address, event) => store.send(address, event),
    drain: async (node, draining) => store.drain(node, draining),
    deadLetters: async (actorId) =>
      store
        .deadLetters()
        .filter(({ actor }) => actor.id === actorId)
        .map(({ event, error }) => ({ event, error })),
    elapse: async (ms) => {
      now += ms;
    },
    setClock: async (byMs) => {
      now += byMs;
    },
  };
});

test.run();
