import * as z from 'zod';
import { ActorKindName } from '../../actors/trace.ts';
import type { ActorFilter, ListedActor, ListPosition } from '../../store/actor-list.ts';
import type { Charts } from '../../visualizer/charts.ts';
import { Fault } from '../fault.ts';

/** A form sends what is not filled in as well. */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional());

const Name = z
  .string()
  .max(255)
  .regex(/^[^\0]+$/);

/** What the list of actors can be asked for, as it stands in an address. */
export const ListQuery = z.object({
  kind: optional(ActorKindName),
  state: optional(Name),
  node: optional(Name),
  partition: optional(z.coerce.number().int().min(0).max(63)),
  /** Seconds in the state, at least. */
  age: optional(z.coerce.number().int().min(0).max(1e9)),
  error: optional(z.enum(['failed', 'quarantined'])),
  /** The page that comes after this actor. */
  after: optional(
    z
      .string()
      .transform((text) => text.split('_'))
      .pipe(z.tuple([z.iso.datetime({ precision: 6 }), z.uuid()]))
      .transform(([since, id]): ListPosition => ({ since, id })),
  ),
});
export type ListQuery = z.infer<typeof ListQuery>;

/** @throws Fault 400 that names what cannot be understood */
export function readListQuery(query: Record<string, string>): ListQuery {
  const parsed = ListQuery.safeParse(query);
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.map(({ path }) => path.join('.'));
  throw new Fault(400, `This list cannot be shown: ${names.join(', ')} cannot be understood.`);
}

/** The query of the address of a page; what is undefined is left out. */
export function addressOf(query: { [K in keyof ListQuery]?: ListQuery[K] }): string {
  const { after, ...rest } = query;
  const pairs = Object.entries({ ...rest, after: after && `${after.since}_${after.id}` });
  const given = pairs.filter(([, value]) => value !== undefined) as [string, string][];
  return given.length === 0 ? '/debug/' : `/debug/?${new URLSearchParams(given)}`;
}

/** What the rows have to be. `owned` are the partitions that each node holds now. */
export function filterOf(
  { kind, state, node, partition, age, error }: ListQuery,
  failures: readonly string[],
  owned: ReadonlyMap<string, readonly number[]>,
): ActorFilter {
  const states = [state && [state], error === 'failed' && failures].filter((each) => Array.isArray(each));
  const partitions = [
    partition !== undefined && [partition],
    node !== undefined && (owned.get(node) ?? []),
  ].filter((each) => Array.isArray(each));
  return {
    kind,
    states: inAll(states),
    partitions: inAll(partitions),
    age,
    quarantined: error === 'quarantined' || undefined,
  };
}

/** What all lists have; undefined when there is none. */
function inAll<T>(lists: (readonly T[])[]): readonly T[] | undefined {
  const [first, ...rest] = lists;
  return first?.filter((each) => rest.every((list) => list.includes(each)));
}

/** Whether an actor belongs to a list: what `listActors` says in SQL. */
export function matches(actor: ListedActor, filter: ActorFilter): boolean {
  const { kind, states, partitions, age, quarantined } = filter;
  return (
    !actor.done &&
    (kind === undefined || actor.kind === kind) &&
    (states === undefined || states.includes(actor.state)) &&
    (partitions === undefined || partitions.includes(actor.partition)) &&
    (age === undefined || actor.ageSeconds >= age) &&
    (quarantined === undefined || actor.quarantined !== null)
  );
}

/** States in which an actor waits for somebody to decide, because something went wrong. */
export function failureStates(charts: Charts): string[] {
  return allStates(charts).filter(isFailure);
}

export function isFailure(state: string): boolean {
  return /(^|\.)(ERROR|\w*Failure)$/.test(state);
}

/** The states that actors of a kind can be in. */
export function leaves(charts: Charts, kind: ListedActor['kind']): string[] {
  return [...charts.chart(kind).states.values()]
    .filter(({ states }) => states.length === 0)
    .map(({ path }) => path);
}

/** The states that any actor can be in. */
export function allStates(charts: Charts): string[] {
  return [...new Set(charts.kinds().flatMap((kind) => leaves(charts, kind)))];
}

/** How a state is to be looked at: fine, broken, or on its way. */
export function toneOf(state: string): 'ok' | 'bad' | 'busy' | 'none' {
  if (isFailure(state) || state === 'stale') return 'bad';
  if (state === 'ACTIVE' || state === 'ready') return 'ok';
  return state === 'DELETED' || state === '' ? 'none' : 'busy';
}
