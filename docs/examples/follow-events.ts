import { setTimeout as pause } from 'node:timers/promises';

/**
 * Prints what happens to load balancers, one line per change, until it is interrupted. Needs no package, and no way to NATS:
 *
 *     OS_TOKEN=$(openstack token issue -f value -c id) \
 *     node docs/examples/follow-events.ts http://127.0.0.1:9876 'resource=loadbalancer'
 *
 * It comes again when the connection ends, and goes on after the last event that it has seen.
 */
const [url = 'http://127.0.0.1:9876', query = ''] = process.argv.slice(2);
const token = process.env.OS_TOKEN;
let lastId: string | undefined;

for (;;) {
  const response = await fetch(`${url}/v2/events?${query}`, {
    headers: {
      ...(token !== undefined && { 'X-Auth-Token': token }),
      ...(lastId !== undefined && { 'Last-Event-ID': lastId }),
    },
  }).catch(() => undefined);
  if (response?.status === 410) {
    // We were away for longer than events are kept: whoever keeps a copy of the objects reads them again now.
    lastId = undefined;
    continue;
  }
  if (response !== undefined && response.status >= 400 && response.status < 500) {
    throw new Error(`${response.status}: ${await response.text()}`);
  }
  if (response?.ok && response.body) await follow(response.body).catch(() => {}); // broken off
  await pause(2_000);
}

async function follow(body: ReadableStream<Uint8Array>): Promise<void> {
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const blocks = `${text}${chunk}`.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/, 2) as [string, string]));
      const data = JSON.parse(fields.get('data') ?? 'null');
      if (fields.get('event') === 'ready') process.stdout.write('ready\n');
      if (fields.get('event') === 'status') {
        const before = data.old?.provisioning_status ?? 'created';
        const after = data.new?.provisioning_status ?? 'removed';
        process.stdout.write(`${data.time} ${data.resource} ${data.id}: ${before} -> ${after}\n`);
      }
      // Only now, and also of blocks that are no event: what we have not worked on comes again.
      lastId = fields.get('id') ?? lastId;
    }
  }
}
