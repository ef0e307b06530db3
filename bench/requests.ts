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

/** GETs by so many connections for so long, each with one request at a time. */
export async function hammer(url: string, paths: string[], connections: number, ms: number) {
  const client = new Pool(url, { connections, pipelining: 1 });
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
  const perSecond = (times.length * 1000) / (performance.now() - started);
  await client.close();
  return { requests_per_second: Math.round(perSecond), ...percentiles(times), p99: p99(times) };
}

function p99(times: number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return round(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN);
}
