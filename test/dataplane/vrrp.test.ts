// timeout: 240
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { longestGaps } from '../support/gap.ts';
import { hostLinkOf, killAmphora, Pair, runs, setLink, signal } from '../support/pair.ts';
import { ask, type Stand, startStand } from '../support/stand.ts';

// A pair of amphorae holds its VIPs by VRRP: whatever happens to the one that has them, the other one takes them. Gaps are
// asserted loosely, because this host may be busy with anything; bench/vrrp.ts measures them.

const TOLERATED_MS = 3_000;

let stand: Stand;
let pair: Pair;

test.before(async () => {
  stand = await startStand({ netns_capacity: 4 });
  pair = await Pair.create(stand, {
    vip_subnet_id: stand.network.subnet4,
    additional_vips: [{ subnet_id: stand.network.subnet6 }],
  });
});
test.after(() => stand?.stop());

test('a keepalived that is killed loses the VIPs of both families to the other amphora', async () => {
  short(await pair.gapsWhen((holder) => signal(holder, 'KILL', 'keepalived')));
});

test('clients stay with their members when the VIPs move', async () => {
  const before = await membersOfClients();
  for (const round of [1, 2]) {
    await pair.gapsWhen((holder) => signal(holder, 'TERM', 'keepalived'));
    assert.equal(await membersOfClients(), before, `after move ${round}`);
  }
});

test('a keepalived that is asked to end hands them over', async () => {
  short(await pair.gapsWhen((holder) => signal(holder, 'TERM', 'keepalived')));
});

test('an amphora that is cut off loses them', async () => {
  const link = hostLinkOf(await pair.holder());
  short(await pair.gapsWhen(() => setLink(link, 'down')));
  setLink(link, 'up');
});

test('an amphora whose haproxy hangs gives them away', async () => {
  const hanging = await pair.holder();
  short(await pair.gapsWhen(() => signal(hanging, 'STOP', 'haproxy')), 10_000);
  signal(hanging, 'CONT', 'haproxy');
});

test('an amphora that comes back leaves them where they are', async () => {
  const holder = await pair.holder();
  const other = (await pair.amphorae()).find((id) => id !== holder) ?? '';
  const gaps = await longestGaps(stand.client, pair.urls, async () => {
    signal(other, 'KILL', 'keepalived');
    await waitFor('keepalived to run again', 10, async () => runs(other, 'keepalived') || undefined);
  });
  short(gaps);
  assert.is(await pair.holder(), holder);
});

test('an amphora that is killed loses them', async () => {
  short(await pair.gapsWhen(killAmphora));
  await stand.remove(pair.id);
});

test('a pair on an IPv6 network does the same', async () => {
  const pair6 = await Pair.create(stand, { vip_subnet_id: stand.network.subnet6 }, 6);
  short(await pair6.gapsWhen((holder) => signal(holder, 'KILL', 'keepalived')));
  await stand.remove(pair6.id);
  assert.equal(await stand.remains(), []);
});

/** Which member answers each of the client's addresses. */
async function membersOfClients(): Promise<(string | undefined)[]> {
  const sources: [string | undefined, string[]][] = [
    [pair.vips[0], ['192.0.2.210', '192.0.2.99']],
    [`[${pair.vips[1]}]`, ['2001:db8:5::d2', '2001:db8:5::63']],
  ];
  const asked = sources.flatMap(([vip, from]) =>
    from.map((each) => ask(stand.client, `http://${vip}/`, each)),
  );
  const answers = await Promise.all(asked);
  assert.ok(answers.every((answer) => answer !== undefined));
  return answers;
}

function short(gaps: Record<string, number>, toleratedMs = TOLERATED_MS): void {
  for (const [vip, gap] of Object.entries(gaps)) assert.ok(gap < toleratedMs, `${vip}: a gap of ${gap} ms`);
}

test.run();
