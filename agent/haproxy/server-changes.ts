/** A `server` line: name, address, and the rest without what the runtime socket can change. */
interface ServerLine {
  address: string;
  options: string;
  weight: string;
  disabled: boolean;
}

interface Outline {
  /** All but the servers, and what follows the memory. */
  skeleton: string;
  /** `backend/server`, as the runtime socket calls it. */
  servers: Map<string, ServerLine>;
}

/** It is another with each look at the amphora's memory: worth no reload, and taken with the next. */
const FOLLOWS_MEMORY = /^\s*tune\.ssl\.cachesize /;

/** More than this is better done by one reload. */
const MOST_COMMANDS = 200;

/**
 * Commands for haproxy's runtime socket that lead from one configuration to another; undefined when only a reload does,
 * because more than the weight, state or presence of servers is different. Pure. Whether haproxy takes them (it adds no
 * server with a cookie, and none to a static algorithm) is for haproxy to say: each answers as `isAccepted` knows.
 */
export function serverChanges(before: string, after: string): string[] | undefined {
  const [from, to] = [outline(before), outline(after)];
  if (from.skeleton !== to.skeleton) return undefined;
  const commands: string[] = [];
  for (const [name, server] of to.servers) {
    const previous = from.servers.get(name);
    const change = previous ? changed(name, previous, server) : added(name, server);
    if (change === undefined) return undefined;
    commands.push(...change);
  }
  for (const name of from.servers.keys()) if (!to.servers.has(name)) commands.push(...removed(name));
  return commands.length > MOST_COMMANDS ? undefined : commands;
}

/** Whether haproxy did what a command of `serverChanges` asked for. */
export function isAccepted(answer: string): boolean {
  return ['', 'New server registered.', 'Server deleted.'].includes(answer.trim());
}

function changed(name: string, from: ServerLine, to: ServerLine): string[] | undefined {
  if (from.address !== to.address || from.options !== to.options) return undefined;
  return [
    ...(from.weight === to.weight ? [] : [`set server ${name} weight ${to.weight}`]),
    ...(from.disabled === to.disabled ? [] : [`set server ${name} state ${to.disabled ? 'maint' : 'ready'}`]),
  ];
}

/** It comes in maintenance, without health checks. Quotes mean nothing on the socket. */
function added(name: string, { address, options, weight, disabled }: ServerLine): string[] | undefined {
  if (/['"\\]/.test(options)) return undefined;
  return [
    `add server ${name} ${address} weight ${weight} ${options}`.trim(),
    ...(/\bcheck\b/.test(options) ? [`enable health ${name}`] : []),
    ...(disabled ? [] : [`set server ${name} state ready`]),
  ];
}

function removed(name: string): string[] {
  return [`set server ${name} state maint`, `del server ${name}`];
}

function outline(config: string): Outline {
  const skeleton: string[] = [];
  const servers: Outline['servers'] = new Map();
  let backend = '';
  for (const line of config.split('\n')) {
    backend = /^backend\s+(\S+)/.exec(line)?.[1] ?? backend;
    const [, name, address, rest] = /^\s+server\s+(\S+)\s+(\S+)(.*)$/.exec(line) ?? [];
    if (name === undefined || address === undefined || rest === undefined) {
      if (!FOLLOWS_MEMORY.test(line)) skeleton.push(line);
      continue;
    }
    const words = rest.trim().split(/\s+/);
    const at = words.indexOf('weight');
    const weight = at < 0 ? '1' : (words[at + 1] ?? '');
    if (at >= 0) words.splice(at, 2);
    const options = words.filter((word) => word !== 'disabled');
    servers.set(`${backend}/${name}`, {
      address,
      options: options.join(' '),
      weight,
      disabled: options.length < words.length,
    });
  }
  return { skeleton: skeleton.join('\n'), servers };
}
