import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Heartbeat } from '../../src/amphora-api/heartbeat.ts';
import { type StatusTree, statusChanges } from '../../src/health/operating-status.ts';
import type { OperatingStatus } from '../../src/model/status.ts';

const stats = { tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0 };

/** One listener `l`, one pool `p`, members `m` and `n`; all OFFLINE until a case says otherwise. */
function tree(changes: Partial<StatusTree> = {}): StatusTree {
  const operating_status = 'OFFLINE';
  return {
    id: 'lb',
    admin_state_up: true,
    provisioning_status: 'ACTIVE',
    operating_status,
    listeners: [{ id: 'l', admin_state_up: true, operating_status, l4_protocol: 'TCP' }],
    pools: [{ id: 'p', operating_status }],
    members: ['m', 'n'].map((id) => ({ id, pool_id: 'p', operating_status })),
    ...changes,
  };
}

type Report = Pick<Heartbeat, 'listeners' | 'pools'>;

function report(listener: string | undefined, pool?: string, members: Record<string, string> = {}): Report {
  return {
    listeners: listener === undefined ? {} : { l: { status: listener, stats } },
    pools: pool === undefined ? {} : { 'p:l': { status: pool, members } },
  };
}

/** What the statuses are after a report: `lb`, `l`, `p`, `m`, `n`. */
function after(before: StatusTree, reported: Report): OperatingStatus[] {
  const changes = statusChanges(before, reported);
  return [before, ...before.listeners, ...before.pools, ...before.members].map(
    ({ id, operating_status }) =>
      changes.find((change) => change.id === id)?.operating_status ?? operating_status,
  );
}

const UP = { m: 'UP', n: 'UP' };

test('operating statuses follow the report as the contract says (B4)', () => {
  const cases: [string, StatusTree, Report, string][] = [
    ['all is well', tree(), report('OPEN', 'UP', UP), 'ONLINE ONLINE ONLINE ONLINE ONLINE'],
    ['connection limit', tree(), report('FULL', 'UP', UP), 'DEGRADED DEGRADED ONLINE ONLINE ONLINE'],
    ['listener missing', tree(), report(undefined, 'UP', UP), 'ERROR ERROR ONLINE ONLINE ONLINE'],
    [
      'listener missing while a change is applied',
      tree({ provisioning_status: 'PENDING_UPDATE' }),
      report(undefined, 'UP', UP),
      'ONLINE OFFLINE ONLINE ONLINE ONLINE',
    ],
    [
      'listener switched off',
      tree({
        listeners: [{ id: 'l', admin_state_up: false, operating_status: 'ONLINE', l4_protocol: 'TCP' }],
      }),
      report(undefined),
      'ONLINE OFFLINE OFFLINE OFFLINE OFFLINE',
    ],
    [
      'UDP listener without members',
      tree({
        listeners: [{ id: 'l', admin_state_up: true, operating_status: 'OFFLINE', l4_protocol: 'UDP' }],
      }),
      report(undefined),
      'ONLINE OFFLINE OFFLINE OFFLINE OFFLINE',
    ],
    ['pool down', tree(), report('OPEN', 'DOWN', { m: 'DOWN', n: 'DOWN' }), 'ERROR ONLINE ERROR ERROR ERROR'],
    [
      'one member down',
      tree(),
      report('OPEN', 'UP', { m: 'UP', n: 'DOWN 1/2' }),
      'DEGRADED ONLINE DEGRADED ONLINE ERROR',
    ],
    ['pool not reported', tree(), report('OPEN'), 'ONLINE ONLINE OFFLINE OFFLINE OFFLINE'],
    [
      'words for members',
      tree(),
      report('OPEN', 'UP', { m: 'DRAIN', n: 'MAINT' }),
      'ONLINE ONLINE ONLINE DRAINING OFFLINE',
    ],
    [
      'no monitor, and coming up',
      tree(),
      report('OPEN', 'UP', { m: 'no check', n: 'UP 1/3' }),
      'ONLINE ONLINE ONLINE NO_MONITOR ONLINE',
    ],
    [
      'what says nothing changes nothing',
      tree({ members: ['m', 'n'].map((id) => ({ id, pool_id: 'p', operating_status: 'DRAINING' })) }),
      report('OPEN', 'UP', { m: 'RESTARTING', n: 'whatever' }),
      'ONLINE ONLINE ONLINE DRAINING DRAINING',
    ],
    [
      'member not reported, with and without a monitor',
      tree({
        members: [
          { id: 'm', pool_id: 'p', operating_status: 'NO_MONITOR' },
          { id: 'n', pool_id: 'p', operating_status: 'ONLINE' },
        ],
      }),
      report('OPEN', 'UP'),
      'ONLINE ONLINE ONLINE NO_MONITOR OFFLINE',
    ],
    [
      'load balancer switched off',
      tree({ admin_state_up: false, operating_status: 'ONLINE' }),
      report(undefined),
      'OFFLINE OFFLINE OFFLINE OFFLINE OFFLINE',
    ],
    ['nothing below', tree({ listeners: [], pools: [], members: [] }), report(undefined), 'ONLINE'],
  ];
  for (const [name, before, reported, expected] of cases) {
    assert.is(after(before, reported).join(' '), expected, name);
  }
});

test('a pool of several listeners is as bad as the worst of them sees it', () => {
  const pools = {
    'p:l': { status: 'UP', members: { m: 'UP', n: 'DOWN' } },
    'p:k': { status: 'UP', members: { m: 'no check', n: 'UP' } },
  };
  const { listeners } = report('OPEN');
  assert.is(after(tree(), { listeners, pools }).join(' '), 'DEGRADED ONLINE DEGRADED NO_MONITOR ERROR');
});

test('a pool of an LVS listener is reported under its own id', () => {
  const { listeners } = report('OPEN');
  const pools = { p: { status: 'UP', members: UP } };
  assert.is(after(tree(), { listeners, pools }).join(' '), 'ONLINE ONLINE ONLINE ONLINE ONLINE');
});

test('without a word about pools they stay as they are', () => {
  const before = tree({ pools: [{ id: 'p', operating_status: 'DEGRADED' }] });
  assert.is(
    after(before, { listeners: report('OPEN').listeners }).join(' '),
    'DEGRADED ONLINE DEGRADED OFFLINE OFFLINE',
  );
});

test('only changes are written', () => {
  const online = tree({ operating_status: 'ONLINE', listeners: [], pools: [], members: [] });
  assert.equal(statusChanges(online, report(undefined)), []);
});

test.run();
