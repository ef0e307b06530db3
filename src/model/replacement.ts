import type { AmphoraRole, Topology } from './status.ts';

/**
 * A new amphora for an old one. `oldId` is null where one is missing, `newId` where one is too many. New ids are chosen by
 * whoever asks for the failover.
 */
export interface Replacement {
  oldId: string | null;
  newId: string | null;
  role: AmphoraRole;
}

export interface AmphoraInService {
  id: string;
  role: AmphoraRole;
}

/** The standby goes first: while it is replaced, the master serves, and then it takes over (contract C6). */
const rolesOf: Record<Topology, AmphoraRole[]> = {
  SINGLE: ['STANDALONE'],
  ACTIVE_STANDBY: ['BACKUP', 'MASTER'],
};

/** Every amphora of a load balancer replaced, those that are missing made, and those too many given back. */
export function replaceAll(
  topology: Topology,
  amphorae: AmphoraInService[],
  newId: () => string,
): Replacement[] {
  const replacements = rolesOf[topology].map((role): Replacement => {
    const oldId = amphorae.find((amphora) => amphora.role === role)?.id ?? null;
    return { oldId, newId: newId(), role };
  });
  // A failover that was cut short may have left two of a kind.
  const surplus = amphorae.filter(({ id }) => !replacements.some(({ oldId }) => oldId === id));
  return [...replacements, ...surplus.map(({ id, role }) => ({ oldId: id, newId: null, role }))];
}

/** Some amphorae of a load balancer replaced, in the order of `replaceAll`. */
export function replaceSome(
  topology: Topology,
  amphorae: AmphoraInService[],
  newId: () => string,
): Replacement[] {
  return rolesOf[topology].flatMap((wanted) =>
    amphorae
      .filter(({ role }) => role === wanted)
      .map(({ id, role }) => ({ oldId: id, newId: newId(), role })),
  );
}
