import { setTimeout as sleep } from 'node:timers/promises';
import { hostLinkOf, killAmphora, Pair, setLink, signal } from '../test/support/pair.ts';
import { startStand } from '../test/support/stand.ts';

/**
 * How long a client misses the VIPs, of both families, when the amphora that has them loses its keepalived, its link, or its
 * life. `node bench/vrrp.ts [rounds]` prints JSON: gaps in milliseconds, against the time until the other amphora may
 * take over at the earliest (two advertisements) and must have at the latest (three and its skew).
 */
const rounds = Number(process.argv[2] ?? 5);
/** One misfortune at a time: an amphora that has only just come back listens for a while before it takes anything. */
const REST_MS = 2_000;

const strikes: Record<string, (holder: string) => () => void> = {
  'keepalived killed': (holder) => () => signal(holder, 'KILL', 'keepalived'),
  'keepalived ended': (holder) => () => signal(holder, 'TERM', 'keepalived'),
  'link down': (holder) => {
    const link = hostLinkOf(holder);
    restore = () => setLink(link, 'up');
    return () => setLink(link, 'down');
  },
};
let restore = () => {};

const stand = await startStand({ netns_capacity: 2 });
try {
  const create = () =>
    Pair.create(stand, {
      vip_subnet_id: stand.network.subnet4,
      additional_vips: [{ subnet_id: stand.network.subnet6 }],
    });
  const gaps: Record<string, { ipv4: number[]; ipv6: number[] }> = {};
  const note = (what: string, measured: Record<string, number>) => {
    gaps[what] ??= { ipv4: [], ipv6: [] };
    for (const [vip, gap] of Object.entries(measured))
      gaps[what][vip.includes(':') ? 'ipv6' : 'ipv4'].push(gap);
  };

  let pair = await create();
  for (let round = 0; round < rounds; round += 1) {
    for (const [what, prepare] of Object.entries(strikes)) {
      await sleep(REST_MS);
      note(what, await pair.gapsWhen(prepare(await pair.holder())));
      restore();
      restore = () => {};
    }
    await sleep(REST_MS);
    note('amphora killed', await pair.gapsWhen(killAmphora));
    await stand.remove(pair.id);
    if (round + 1 < rounds) pair = await create();
  }
  process.stdout.write(
    `${JSON.stringify({ benchmark: 'vrrp', unit: 'ms', advertisements: { interval: 200, earliest: 400, latest: 728 }, gaps }, null, 2)}\n`,
  );
} finally {
  await stand.stop();
}
