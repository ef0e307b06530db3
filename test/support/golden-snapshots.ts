import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AnyStateMachine } from 'xstate';
import { type ActorEvent, type ActorState, interpret } from '../../src/actors/interpreter.ts';
import type { ActorKind } from '../../src/machines/address.ts';

/** An actor at rest in one state, as the runtime stores it, and an event that it takes there (none when it has ended). */
export interface GoldenSnapshot extends Pick<ActorState, 'snapshot' | 'input' | 'effects'> {
  state: string;
  event: ActorEvent | null;
}

export interface Walk {
  machine: AnyStateMachine;
  input: object;
  /** Messages that others may send to an actor with this context. */
  messages(context: Record<string, unknown>): ActorEvent[];
  /** Results of effects; null where none is given. */
  outputs: Record<string, object>;
  error: object;
}

interface Visit {
  actor: ActorState;
  state: string;
}

const ROOT = join(import.meta.dirname, '..', 'golden', 'snapshots');

/** The shortest way into every state of a chart by the runtime's own transitions, each as it would be stored. */
export function walk({ machine, input, messages, outputs, error }: Walk): GoldenSnapshot[] {
  const found = new Map<string, GoldenSnapshot>();
  const seen = new Set<string>();
  const queue: Visit[] = [
    step(machine, { snapshot: null, input, version: 0, effects: {} }, { type: 'amphorae.start' }),
  ];
  for (let visit = queue.shift(); visit !== undefined; visit = queue.shift()) {
    const { actor, state } = visit;
    const { context, status } = actor.snapshot as unknown as {
      context: Record<string, unknown>;
      status: string;
    };
    // What tells ways on apart; numbers and reasons would make them endless.
    const key = JSON.stringify([state, context], (_, value) =>
      typeof value === 'number' || value?.code !== undefined ? true : value,
    );
    if (seen.has(key)) continue;
    seen.add(key);
    const events =
      status === 'done' ? [] : [...results(actor, outputs, error), ...messages(context)].map(throughJson);
    const taken = events.filter((event) => interpret(machine, actor, event).handled);
    if (!found.has(state)) {
      const { snapshot, effects } = actor;
      found.set(state, { state, input, snapshot, effects, event: taken[0] ?? null });
    }
    queue.push(...taken.map((event) => step(machine, actor, event)));
  }
  return [...found.values()];
}

/** What is stored is JSON: what JSON loses must not matter. */
function throughJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

function step(machine: AnyStateMachine, actor: ActorState, event: ActorEvent): Visit {
  const { snapshot, effects, state } = interpret(machine, actor, event);
  const { input, version } = actor;
  return { state, actor: { input, version: version + 1, ...throughJson({ snapshot, effects }) } };
}

function results({ effects }: ActorState, outputs: Record<string, object>, error: object): ActorEvent[] {
  return Object.entries(effects).flatMap(([id, { src }]) => [
    { type: `xstate.done.actor.${id}`, output: outputs[src] ?? null, actorId: id },
    { type: `xstate.error.actor.${id}`, error, actorId: id },
  ]);
}

/** The kept snapshots of a kind, by version. */
export function goldenVersions(kind: ActorKind): number[] {
  const folder = join(ROOT, kind);
  return existsSync(folder) ? readdirSync(folder).map((name) => Number(name.slice(1))) : [];
}

export function readGolden(kind: ActorKind, version: number): GoldenSnapshot[] {
  const folder = join(ROOT, kind, `v${version}`);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
}

/** Keep a snapshot for ever; one that is kept already stays as it was when its version wrote it. */
export function keepGolden(kind: ActorKind, version: number, golden: GoldenSnapshot): void {
  const path = join(ROOT, kind, `v${version}`, `${golden.state}.json`);
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(golden, null, 2)}\n`);
}
