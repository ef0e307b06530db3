import { AckPolicy, connect, DeliverPolicy } from 'nats';
import { natsOptions } from '../../src/actors/nats-url.ts';
import { StatusEvent } from '../../src/status/event.ts';
import { STREAM } from '../../src/status/stream.ts';

/**
 * Prints what happens to load balancers, one line per change, until it is interrupted:
 *
 *     node docs/examples/status-subscriber.ts nats://user:password@host:4222 [subject]
 *
 * `amphorae.status.>`, the default, is everything; `amphorae.status.loadbalancer.>` all load balancers,
 * `amphorae.status.*.PROJECT.*` one project, `amphorae.status.*.*.ID` one object.
 *
 * The consumer is durable: started again, this goes on after the last event that it has acknowledged.
 */
const [url = 'nats://127.0.0.1:4222', subject = 'amphorae.status.>'] = process.argv.slice(2);
const nats = await connect({ ...natsOptions(url), name: 'status subscriber' });
const consumerName = `example-${subject.replaceAll(/[^A-Za-z0-9-]/g, '_')}`;
const manager = await nats.jetstreamManager();
await manager.consumers.add(STREAM, {
  durable_name: consumerName,
  filter_subject: subject,
  deliver_policy: DeliverPolicy.All,
  ack_policy: AckPolicy.Explicit,
});
const consumer = await nats.jetstream().consumers.get(STREAM, consumerName);
const messages = await consumer.consume();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void messages.close());

for await (const message of messages) {
  const event = StatusEvent.parse(message.json());
  const before = event.old?.provisioning_status ?? 'created';
  const after = event.new?.provisioning_status ?? 'removed';
  process.stdout.write(`${event.time} ${event.resource} ${event.id}: ${before} -> ${after}\n`);
  message.ack(); // only now: what is not acknowledged comes again
}
await nats.close();
