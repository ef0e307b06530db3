import type { AmphoraeError, ErrorKind } from '../../model/errors.ts';
import { PlacementError, TerminalError, TransientError } from '../../model/errors.ts';

/** Verbs of Compute, Network and AgentClient. */
const verbs = [
  ...['create', 'status', 'attachPort', 'detachPort', 'delete', 'list'],
  ...['getNetwork', 'getSubnet', 'getPort', 'createPort', 'deletePort', 'updatePort', 'listPorts'],
  ...[
    'info',
    'details',
    'configure',
    'plugVip',
    'plugNetwork',
    'uploadHaproxy',
    'reloadHaproxy',
    'deleteHaproxy',
  ],
  ...['listCertificates', 'uploadCertificate', 'deleteCertificate'],
  ...['setSecurityGroup', 'uploadKeepalived', 'reloadKeepalived'],
  ...['uploadLvs', 'reloadLvs', 'deleteLvs'],
];

/** Outside its interface a bare verb of Compute says too little. */
const aliases: Record<string, string> = {
  createServer: 'create',
  serverStatus: 'status',
  deleteServer: 'delete',
  listServers: 'list',
};

/** Which verbs of the noop provider fail, and how. Shared by its compute, network and agent. */
export class Failures {
  #plans = new Map<string, { kind: ErrorKind; left: number }>();

  constructor(entries: readonly string[] = []) {
    this.set(entries);
  }

  /**
   * Replace what fails.
   * @param entries `verb:kind` fails always, `verb:kind:count` only the next `count` calls.
   * @throws TerminalError `invalid_failure` for an entry that is none.
   */
  set(entries: readonly string[]): void {
    this.#plans = new Map(entries.map(parseFailure));
  }

  /** A view of `target` whose verbs fail as planned, before they do anything. */
  applyTo<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (object, property, receiver) => {
        const member: unknown = Reflect.get(object, property, receiver);
        if (typeof member !== 'function') return member;
        if (typeof property !== 'string' || !verbs.includes(property)) return member.bind(object);
        return async (...args: unknown[]) => {
          this.#check(property);
          return Reflect.apply(member, object, args);
        };
      },
    });
  }

  #check(verb: string): void {
    const plan = this.#plans.get(verb);
    if (!plan || plan.left <= 0) return;
    plan.left -= 1;
    throw failureOf(plan.kind, verb);
  }
}

function parseFailure(entry: string): [string, { kind: ErrorKind; left: number }] {
  const match = /^(\w+):(placement|transient|terminal)(?::(\d+))?$/.exec(entry);
  const verb = aliases[match?.[1] ?? ''] ?? match?.[1];
  if (!match || !verb || !verbs.includes(verb)) {
    throw new TerminalError(
      'invalid_failure',
      `noop_fail: ${entry} is not verb:kind[:count] with kind placement, transient or terminal and a verb of ${verbs.join(', ')}`,
    );
  }
  return [verb, { kind: match[2] as ErrorKind, left: match[3] === undefined ? Infinity : Number(match[3]) }];
}

function failureOf(kind: ErrorKind, verb: string): AmphoraeError {
  const type = { placement: PlacementError, transient: TransientError, terminal: TerminalError }[kind];
  return new type('noop_failure', `the noop provider was told to fail ${verb} (setting noop_fail)`);
}
