import type { Heartbeat, ListenerCounters } from '../../src/amphora-api/heartbeat.ts';

export interface Report {
  listeners: Heartbeat['listeners'];
  pools: NonNullable<Heartbeat['pools']>;
}

/** Counters that only grow while a worker of haproxy lives. */
export type GrowingCounters = Omit<ListenerCounters, 'conns'>;

/**
 * The answer to haproxy's `show stat` as a heartbeat reports it (contract C7): frontends are listeners, backends
 * `<pool>:<listener>`, servers members. What haproxy has besides is left out. Counters are absolute.
 */
export function readStatistics(csv: string): Report {
  const report: Report = { listeners: {}, pools: {} };
  for (const row of rowsOf(csv)) {
    const proxy = row('pxname');
    const server = row('svname');
    if (server === 'FRONTEND' && LISTENER.test(proxy)) {
      report.listeners[proxy] = { status: row('status'), stats: countersOf(row) };
    } else if (POOL.test(proxy)) {
      report.pools[proxy] ??= { status: '', members: {} };
      const pool = report.pools[proxy];
      if (server === 'BACKEND') pool.status = row('status');
      else pool.members[server] = memberStatus(row);
    }
  }
  return report;
}

const LISTENER = /^[0-9a-f-]{36}$/;
const POOL = /^[0-9a-f-]{36}:[0-9a-f-]{36}$/;

type Row = (column: string) => string;

/** No name and no status has a comma or a quote in it: those of sections and servers are ids. */
function rowsOf(csv: string): Row[] {
  const [header = '', ...lines] = csv.trim().split('\n');
  const columns = new Map(
    header
      .replace(/^# /, '')
      .split(',')
      .map((name, index) => [name, index]),
  );
  return lines.map((line) => {
    const fields = line.split(',');
    return (column) => fields[columns.get(column) ?? -1] ?? '';
  });
}

function countersOf(row: Row): ListenerCounters {
  return {
    tx: Number(row('bout')),
    rx: Number(row('bin')),
    conns: Number(row('scur')),
    totconns: Number(row('stot')),
    ereq: Number(row('ereq')),
  };
}

/** haproxy calls a member UP that gets no new connections because of its weight. */
function memberStatus(row: Row): string {
  return row('status') === 'UP' && row('weight') === '0' ? 'DRAIN' : row('status');
}
