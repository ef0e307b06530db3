import type { Clock } from '../../src/actors/clock.ts';
import { basePortName, memberPortName, memberPortPrefix, vipPortName } from '../../src/effects/names.ts';
import type {
  AmphoraRef,
  EffectInput,
  EffectName,
  EffectOutput,
  Effects,
} from '../../src/machines/effects.ts';
import type { EffectContext, RetryPolicy } from '../../src/model/effect.ts';
import { PlacementError, TerminalError, TransientError } from '../../src/model/errors.ts';
import type { Faults } from './faults.ts';
import type { Link } from './link.ts';
import type { Random } from './random.ts';
import type { AmphoraRow, LoadBalancerRow, Rows } from './rows.ts';
import type { Content, World } from './world.ts';

/** Longer than everything may take to come to rest: only the charts' deadlines can help then. */
const DEAF_MS = 420_000;

export interface EffectParts {
  rows: Rows;
  world: World;
  /** From the process that runs the effects to the database, to providers and to agents. */
  storeLink: Link;
  worldLink: Link;
  agentLink: Link;
  clock: Clock;
  random: Random;
  faults: Readonly<Faults>;
  /** An attempt of an effect begins. */
  started(effect: EffectName, requestId: string): void;
}

type Body<N extends EffectName> = (input: EffectInput<N>, context: EffectContext) => Promise<EffectOutput<N>>;

const provider: RetryPolicy = { attempts: 3, deadlineMs: 6_000, backoffMs: 300, maxBackoffMs: 2_000 };
const agent: RetryPolicy = { ...provider, deadlineMs: 5_000 };
const boot: RetryPolicy = {
  attempts: Number.POSITIVE_INFINITY,
  deadlineMs: 10_000,
  backoffMs: 500,
  maxBackoffMs: 1_000,
};

/** The effects of `src/effects/` in the simulated world: the same steps, with the same dependence on rows and epochs. */
export function simulatedEffects(parts: EffectParts): Effects {
  const { rows, world } = parts;

  /** A call to a provider. Once sent, its answer is awaited: given up, it could be overtaken by what undoes it. */
  const call = async <T>({ signal }: EffectContext, operation: () => T) => {
    signal.throwIfAborted();
    return parts.worldLink.call(operation);
  };

  /** A call to an agent is given up when it is cancelled; what was sent may arrive all the same. */
  const callAgent = <T>({ signal }: EffectContext, amphoraId: string, operation: () => T) =>
    abortable(signal, () =>
      parts.agentLink.call(async () => {
        await world.listening(amphoraId);
        return operation();
      }),
    );

  const read = <T>({ signal }: EffectContext, operation: () => T) =>
    abortable(signal, () => parts.storeLink.call(operation));

  const graphOf = (ref: AmphoraRef, context: EffectContext) => read(context, () => describe(rows, ref));

  const push = async (part: 'config' | 'firewall', ref: AmphoraRef, context: EffectContext) => {
    const { content } = await graphOf(ref, context);
    await callAgent(context, ref.amphoraId, () => world.push(ref.amphoraId, part, content, context.epoch));
    return { revision: content.revision };
  };

  const bodies: { [N in EffectName]: Body<N> } = {
    allocateVip: async ({ loadBalancerId }, context) => {
      await read(context, () => requireLoadBalancer(rows, loadBalancerId));
      const portId = vipPortName(loadBalancerId);
      await call(context, () => world.ports.add(portId));
      return { vip: { address: '192.0.2.1', subnetId: null, networkId: null, portId }, additionalVips: [] };
    },
    releaseVip: async ({ loadBalancerId }, context) => {
      await call(context, () => world.deletePorts(vipPortName(loadBalancerId)));
      return null;
    },
    placeServer: async (ref, context) => {
      await graphOf(ref, context);
      await call(context, () => world.ensureServer(ref.amphoraId, parts.random.between(200, 3_000)));
      return {
        computeId: ref.amphoraId,
        certExpiration: null,
        zone: null,
        imageId: null,
        computeFlavor: null,
      };
    },
    awaitAgent: async (ref, context) => {
      await graphOf(ref, context);
      await callAgent(context, ref.amphoraId, () => world.ping(ref.amphoraId, context.epoch));
      return { managementAddress: '192.0.2.2' };
    },
    plugPorts: async (ref, context) => {
      const { amphora, networks } = await graphOf(ref, context);
      if (amphora.computeId === null) throw new TerminalError('server_lost', 'the amphora has no server');
      const members = networks.map((network) => memberPortName(ref.amphoraId, network));
      await call(context, () => world.deletePorts(memberPortPrefix(ref.amphoraId), members));
      for (const port of [basePortName(ref.amphoraId), ...members]) {
        await call(context, () => world.attach(ref.amphoraId, port));
      }
      await callAgent(context, ref.amphoraId, () => world.ping(ref.amphoraId, context.epoch));
      const vip = { address: '192.0.2.1', subnetId: null, networkId: null, portId: null };
      return { ports: [], vrrpIp: '192.0.2.3', vip };
    },
    pushConfig: (ref, context) => push('config', ref, context),
    pushFirewall: (ref, context) => push('firewall', ref, context),
    tryFirewall: (ref, context) => push('firewall', ref, context),
    pushSettings: async (ref, context) => {
      await graphOf(ref, context);
      await callAgent(context, ref.amphoraId, () => world.ping(ref.amphoraId, context.epoch));
      return null;
    },
    releaseAmphora: async ({ amphoraId }, context) => {
      await call(context, () => world.deleteServer(amphoraId));
      await call(context, () => world.deletePorts(basePortName(amphoraId)));
      await call(context, () => world.deletePorts(memberPortPrefix(amphoraId)));
      return null;
    },
  };

  const troubled =
    <N extends EffectName>(name: N): Body<N> =>
    async (input, context) => {
      parts.started(name, context.requestId);
      await trouble(parts, context.signal);
      return bodies[name](input, context);
    };

  return {
    allocateVip: { run: troubled('allocateVip'), retry: provider, callsProvider: true },
    releaseVip: { run: troubled('releaseVip'), retry: provider, callsProvider: true },
    placeServer: { run: troubled('placeServer'), retry: provider, callsProvider: true },
    awaitAgent: { run: troubled('awaitAgent'), retry: boot },
    plugPorts: { run: troubled('plugPorts'), retry: agent, callsProvider: true },
    pushConfig: { run: troubled('pushConfig'), retry: agent },
    pushFirewall: { run: troubled('pushFirewall'), retry: agent },
    tryFirewall: { run: troubled('tryFirewall'), retry: { ...agent, attempts: 1 } },
    pushSettings: { run: troubled('pushSettings'), retry: agent },
    releaseAmphora: { run: troubled('releaseAmphora'), retry: provider, callsProvider: true },
  };
}

function requireLoadBalancer(rows: Rows, id: string): LoadBalancerRow {
  const row = rows.loadBalancers.get(id);
  if (row === undefined || row.status === 'DELETED')
    throw new TerminalError('not_found', `no load balancer ${id}`);
  return row;
}

/** What an effect reads of the rows, as of one instant. */
function describe(
  rows: Rows,
  { loadBalancerId, amphoraId }: AmphoraRef,
): { amphora: AmphoraRow; content: Content; networks: string[] } {
  const loadBalancer = requireLoadBalancer(rows, loadBalancerId);
  const amphora = rows.amphorae.get(amphoraId);
  if (amphora === undefined) throw new TerminalError('not_found', `no amphora ${amphoraId}`);
  const wanted = rows
    .childrenOf(loadBalancerId)
    .filter(({ withheld, status }) => !withheld && status !== 'PENDING_DELETE');
  const own = `${loadBalancerId}@${loadBalancer.ownRevision}`;
  return {
    amphora: { ...amphora },
    content: {
      revision: loadBalancer.desiredRevision,
      rows: [own, ...wanted.map(({ id, revision }) => `${id}@${revision}`)],
    },
    networks: [...new Set(wanted.flatMap(({ network }) => network ?? []))],
  };
}

/** What may go wrong before anything is done. */
async function trouble({ faults, random, clock }: EffectParts, signal: AbortSignal): Promise<void> {
  if (random.chance(faults.deaf)) {
    await new Promise<void>((resolve) => clock.after(DEAF_MS, resolve));
    throw new TransientError('gave_up', 'no answer for a long time');
  }
  if (random.chance(faults.hang)) await abortable(signal, () => new Promise<never>(() => {}));
  if (random.chance(faults.placement)) throw new PlacementError('no_valid_host', 'no host has room');
  if (random.chance(faults.terminal)) throw new TerminalError('refused', 'the call was refused');
  if (random.chance(faults.transient)) throw new TransientError('busy', 'try again');
}

/** @throws the signal's reason as soon as it is aborted */
function abortable<T>(signal: AbortSignal, begin: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    begin()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}
