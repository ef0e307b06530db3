import { Pool } from 'undici';
import { percentiles, round } from './statistics.ts';

/** Milliseconds that `action` takes, `rounds` times, one after the other. */
export async function timed(rounds: number, action: (round: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < rounds; index += 1) {
    const started = performance.now();
    await action(index);
    times.push(performance.now() - started);
  }
  return times;
}

export interface Load {
  /** Connections, each with one request at a time. */
  connections: number;
  windows: number;
  windowMs: number;
}

/**
 * GETs of these paths in turn, in windows. Figures are the medians of the windows', so that one hiccup of the machine does not
 * decide; `windows` shows how they differ.
 */
export async function hammer(url: string, paths: string[], { connections, windows, windowMs }: Load) {
  const client = new Pool(url, { connections, pipelining: 1 });
  const measured: Awaited<ReturnType<typeof hammerOnce>>[] = [];
  for (let window = 0; window < windows; window += 1)
    measured.push(await hammerOnce(client, paths, connections, windowMs));
  await client.close();
  const median = (name: 'requests_per_second' | 'p50' | 'p99') =>
    percentiles(measured.map((each) => each[name])).p50;
  return {
    requests: measured.reduce((sum, { requests }) => sum + requests, 0),
    requests_per_second: median('requests_per_second'),
    p50: median('p50'),
    p99: median('p99'),
    windows: measured.map(({ requests_per_second, p99 }) => ({ requests_per_second, p99 })),
  };
}

async function hammerOnce(client: Pool, paths: string[], connections: number, ms: number) {
  const times: number[] = [];
  const started = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async (_, first) => {
      for (let index = first; performance.now() - started < ms; index += connections) {
        const asked = performance.now();
        const path = paths[index % paths.length] as string;
        const { statusCode, body } = await client.request({ method: 'GET', path });
        await body.dump();
        if (statusCode !== 200) throw new Error(`${path}: ${statusCode}`);
        times.push(performance.now() - asked);
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  const requests_per_second = Math.round(times.length / seconds);
  return { requests: times.length, requests_per_second, p50: percentiles(times).p50, p99: p99(times) };
}

function p99(times: number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return round(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN);
}
