import { connect, type NatsConnection } from 'nats';
import pino from 'pino';
import { test } from 'uvu';
import { NatsBus } from '../../src/actors/nats-bus.ts';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { startTestNats, type TestNats } from '../support/nats.ts';
import { busContract } from './bus.ts';

let nats: TestNats;
test.before(async () => {
  nats = await startTestNats();
});
test.after(() => nats?.stop());

busContract(async () => {
  const connections: NatsConnection[] = [];
  return {
    connect: async () => {
      const connection = await connect(natsOptions(nats.url));
      connections.push(connection);
      return new NatsBus(connection, pino({ level: 'silent' }));
    },
    // The server answers a flush after all that came before it; the second one, after what the first made it deliver.
    settle: async () => {
      for (let round = 0; round < 2; round += 1) {
        await Promise.all(connections.filter((each) => !each.isClosed()).map((each) => each.flush()));
      }
    },
  };
});

test.run();
