import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '../../src/cli/up/wait.ts';
import type { System } from '../support/system.ts';
import type { Random } from './random.ts';

export interface FaultOptions {
  system: System;
  random: Random;
  /** Takes a line for each fault. */
  say(text: string): void;
}

/** No process is stopped for longer than its lease and this. */
const LONGEST_OVERSLEEP_SECONDS = 4;

/**
 * Do to the processes of a control plane, at random moments until `until` is aborted, what happens to processes: they
 * die, they are not scheduled for longer than their lease, and operators end or drain them. Resolves when all that were
 * stopped or drained go on again.
 * @returns how many faults of which kind there were
 */
export async function makeFaults(
  { system, random, say }: FaultOptions,
  until: AbortSignal,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const asleep = new Map<number, Promise<void>>();
  const drained = new Map<string, Promise<unknown>>();
  const startedAt = performance.now();
  const controllers = Array.from({ length: system.config.nodes }, (_, index) => `node-${index + 1}`);

  const kill = (name: string, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL') => {
    const pid = pidOf(system, name);
    if (pid !== undefined && send(pid, signal)) note(`${signal} ${name}`);
  };
  const stop = (name: string) => {
    const pid = pidOf(system, name);
    if (pid === undefined || asleep.has(pid) || !send(pid, 'SIGSTOP')) return;
    const seconds = system.config.lease_seconds + random.between(0.5, LONGEST_OVERSLEEP_SECONDS);
    note(`SIGSTOP ${name}`, ` for ${seconds.toFixed(1)} s`);
    const awake = pause(seconds * 1000).then(() => {
      send(pid, 'SIGCONT');
      asleep.delete(pid);
    });
    asleep.set(pid, awake);
  };
  const drain = (name: string) => {
    if (drained.has(name)) return;
    const seconds = random.between(1, 6);
    const order = (verb: string) =>
      system.api<object>('POST', `/v2.0/amphorae/nodes/${name}/${verb}`).then(
        () => true,
        () => undefined,
      );
    const resumed = order('drain').then(async (accepted) => {
      if (accepted) {
        note(`drain ${name}`, ` for ${seconds.toFixed(1)} s`);
        await pause(seconds * 1000);
        await waitFor(`${name} to be resumed`, 60, () => order('resume'));
      }
      drained.delete(name);
    });
    drained.set(name, resumed);
  };
  const note = (fault: string, detail = '') => {
    counts.set(fault, (counts.get(fault) ?? 0) + 1);
    say(`${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${fault}${detail}`);
  };

  const faults = [
    () => kill(random.pick(controllers)),
    () => kill(random.pick(controllers)),
    () => stop(random.pick(controllers)),
    () => stop(random.pick(controllers)),
    () => kill(random.pick(controllers), 'SIGTERM'),
    () => drain(random.pick(controllers)),
    () => kill('nats-server'),
    () => kill('postgres'),
  ];
  while (!until.aborted) {
    await pause(random.between(500, 4_000), undefined, { signal: until }).catch(() => {});
    if (!until.aborted) random.pick(faults)();
  }
  await Promise.all([...asleep.values(), ...drained.values()]);
  return counts;
}

/** undefined while it is being started again, and when one of them ended while we were looking. */
function pidOf(system: System, name: string): number | undefined {
  try {
    return system.processes().get(name);
  } catch {
    return undefined;
  }
}

/** Whether there was a process to send it to. */
function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
