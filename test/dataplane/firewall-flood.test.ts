// timeout: 120
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FirewallCounters } from '../../src/amphora-api/security-group.ts';
import { waitFor } from '../../src/cli/up/wait.ts';
import {
  ask,
  CLIENT,
  type FirewallStand,
  STRANGER,
  startFirewallStand,
  VIP,
} from '../support/firewall-stand.ts';

// A flood of SYN is dropped where it arrives: whoever is allowed is served meanwhile, and no table of the kernel grows. What
// it costs is measured by bench/firewall.ts.

const OPEN = 80;
const CLOSED = 82;

let stand: FirewallStand;

test.before(async () => {
  stand = await startFirewallStand();
  const networks = Array.from(
    { length: 1_000 },
    (_, index) => `10.${100 + (index >> 8)}.${index & 255}.0/25`,
  );
  await stand.amphora.client.setSecurityGroup(stand.amphora.target(), {
    ...{ revision: 1, vips: [VIP], vrrp_peers: [] },
    rules: [{ protocol: 'TCP', port: OPEN, allowed_cidrs: [...networks, `${CLIENT}/32`] }],
    members: [{ address: '10.97.0.20', port: 8080, protocol: 'TCP' }],
  });
});
test.after(() => stand?.stop());

const counters = async (): Promise<FirewallCounters> =>
  (await stand.amphora.call('GET', '/1.0/security-group/counters')).json();
const lines = async (command: string[]) =>
  (await stand.amphora.inDataPlane(command)).split('\n').filter(Boolean).length;

/** What a packet may leave behind in the kernel. */
const tables = async () => ({
  tracked: Number(await stand.amphora.inDataPlane(['conntrack', '-C'])),
  neighbours: await lines(['ip', 'neighbour', 'show']),
  routes: await lines(['ip', 'route', 'show', 'cache']),
  halfOpen: await lines(['ss', '-Htn', 'state', 'syn-recv']),
});

/** Do something while SYNs come in as fast as one process sends them. */
async function flooded(port: number, sources: string[], task: () => Promise<void>): Promise<void> {
  const hping = [
    'hping3',
    '--quiet',
    '--numeric',
    '--syn',
    '--flood',
    ...sources,
    '--destport',
    String(port),
    VIP,
  ];
  const flood = spawn('ip', ['netns', 'exec', stand.stranger.name, ...hping], { stdio: 'ignore' });
  try {
    await task();
  } finally {
    flood.kill('SIGKILL');
    await once(flood, 'exit');
  }
}

const CASES: [string, number, string[], (seen: FirewallCounters) => number][] = [
  ['on a closed port', CLOSED, [], ({ dropped }) => dropped.packets],
  ['from everywhere on a closed port', CLOSED, ['--rand-source'], ({ dropped }) => dropped.packets],
  [
    'from a source that the listener does not allow',
    OPEN,
    ['--spoof', STRANGER],
    ({ listeners }) => listeners[0]?.dropped.packets ?? 0,
  ],
];

for (const [what, port, sources, droppedOf] of CASES) {
  test(`a flood ${what} is dropped, leaves nothing in the kernel, and leaves clients served`, async () => {
    assert.is(await ask(stand.client, `http://${VIP}/`), 'member');
    const [seen, before] = [await counters(), await tables()];
    await flooded(port, sources, async () => {
      await waitFor(
        'the flood',
        10,
        async () => droppedOf(await counters()) > droppedOf(seen) + 1_000 || undefined,
      );
      for (let request = 0; request < 20; request += 1) {
        assert.is(await ask(stand.client, `http://${VIP}/`), 'member', `request ${request}`);
      }
      const { neighbours, ...rest } = await tables();
      assert.equal(rest, { tracked: 0, routes: before.routes, halfOpen: 0 });
      assert.ok(neighbours <= before.neighbours + 1, `${before.neighbours} neighbours became ${neighbours}`);
    });
  });
}

test.run();
