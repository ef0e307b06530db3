import { test } from 'uvu';
import { SimulatedBus } from '../simulation/bus.ts';
import { calm } from '../simulation/faults.ts';
import { Random } from '../simulation/random.ts';
import { SimulatedProcess } from '../simulation/simulated-process.ts';
import { VirtualTime } from '../simulation/virtual-time.ts';
import { busContract } from './bus.ts';

busContract(async () => {
  const time = new VirtualTime();
  const random = new Random(1);
  const bus = new SimulatedBus(time, random, calm);
  return {
    connect: async () => bus.connect(new SimulatedProcess('test', time, random)),
    settle: async () => {
      await time.run(() => false, 1_000);
    },
  };
});

test.run();
