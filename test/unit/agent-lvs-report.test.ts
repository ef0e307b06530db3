import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lvsReport } from '../../agent/lvs/report.ts';

const LISTENER = '00000000-0000-4000-8000-000000000010';
const config = readFileSync(new URL('../golden/lvs/sctp.conf', import.meta.url), 'utf8');
const [pool] = ids('Pool');
const [first, second, third] = ids('Member');

function ids(kind: string): string[] {
  return [...config.matchAll(new RegExp(`# Configuration for ${kind} (\\S+)`, 'g'))].map(
    ([, id]) => id ?? '',
  );
}

/** As the kernel writes it: two VIPs of the listener, and another listener's service on the same members. */
const table = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  C6336407:0035 wrr
  -> CB00710C:1F90      Masq    1      9          9
SCTP C6336407:0B59 wrr
  -> CB00710B:1F90      Masq    1      2          1
  -> CB00710C:1F90      Masq    0      0          0
SCTP [2001:0db8:0000:0000:0000:0000:0000:0007]:0B59 wrr
  -> [2001:0db8:0001:0000:0000:0000:0000:0011]:14E9      Masq    1      4          0
`;
const statistics = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
UDP  198.51.100.7:53                   900      900      900      900      900
SCTP 198.51.100.7:2905                   3       30       20      300      200
  -> 203.0.113.11:8080                   3       30       20      300      200
SCTP [2001:db8::7]:2905                  4       40       10     1000      500
`;

test("the kernel's table becomes listeners, pools and members", () => {
  assert.equal(lvsReport(LISTENER, config, { table, statistics }), {
    listeners: {
      [LISTENER]: { status: 'OPEN', stats: { conns: 7, tx: 700, rx: 1300, totconns: 7, ereq: 0 } },
    },
    pools: {
      [pool ?? '']: {
        status: 'UP',
        members: { [first ?? '']: 'UP', [second ?? '']: 'DRAIN', [third ?? '']: 'UP' },
      },
    },
  });
});

test('members that keepalived has taken out are down, and with all of them the pool', () => {
  const { pools } = lvsReport(LISTENER, config, {
    table: table.slice(0, table.indexOf('SCTP')),
    statistics: '',
  });
  assert.equal(pools[pool ?? ''], {
    status: 'DOWN',
    members: { [first ?? '']: 'DOWN', [second ?? '']: 'DOWN', [third ?? '']: 'DOWN' },
  });
});

test('without a monitor nobody knows whether a member is up', () => {
  const { pools } = lvsReport(LISTENER, config.replaceAll('MISC_CHECK', ''), { table, statistics: '' });
  assert.is(pools[pool ?? '']?.members[first ?? ''], 'no check');
});

test.run();
