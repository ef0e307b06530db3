import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MasterSocket } from '../../agent/haproxy/master-socket.ts';
import type { Namespace } from '../../src/cli/demo/namespace.ts';
import { startChild, whenReady } from '../../src/cli/up/child.ts';
import { programEnvironment } from '../../src/config.ts';
import { pushHaproxy } from '../../src/effects/push-config.ts';
import { readTlsMaterial } from '../../src/effects/tls-material.ts';
import type { LoadBalancerGraph, MemberNode } from '../../src/model/graph.ts';
import { renderSecurityGroup } from '../../src/render/security-group.ts';
import { FileStore } from '../../src/secrets/file-store.ts';
import { amphora as amphoraNode, loadBalancer, member, uuid } from './graph.ts';
import { createNamespace } from './namespace.ts';
import { TestAmphora } from './test-amphora.ts';
import { createTestPki, type TestPki } from './test-pki.ts';

const execute = promisify(execFile);

export const VIP = '10.94.0.10';
export const MEMBERS = ['10.94.0.21', '10.94.0.22', '10.94.0.23'] as const;
/** Nobody has it. */
export const NOBODY = '10.94.0.99';
export const CLIENT = '10.94.0.100';

export interface Response {
  /** curl's exit status; 0 when there was an answer. */
  exit: number;
  status: number;
  headers: string;
  text: string;
  /** As `echo-member.ts` tells it. */
  echo(): Echo;
}

export interface Echo {
  member: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  httpVersion: string;
  tls?: { name: string; client?: string; protocol: string; cipher: string };
}

/** A real agent with haproxy, a client, and three members that say what reached them, on one network. */
export interface HaproxyStand {
  amphora: TestAmphora;
  client: Namespace;
  members: Namespace;
  pki: TestPki;
  /** Directory with what the client uses: ca.pem, and what `clientFile` put there. */
  directory: string;
  clientFile(name: string, content: string): string;
  /** Store a secret; its reference. */
  secret(name: string, content: string): string;
  /** Push a load balancer as the controller does, haproxy and firewall. */
  apply(parts: Partial<LoadBalancerGraph>): Promise<void>;
  /** curl from the client. */
  curl(url: string, ...options: string[]): Promise<Response>;
  /** Ask haproxy's runtime socket. */
  ask(command: string): Promise<string>;
  /** Id of the process that serves. */
  worker(): Promise<string>;
  stop(): Promise<void>;
}

export async function startHaproxyStand(): Promise<HaproxyStand> {
  const stops: (() => unknown)[] = [];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const directory = mkdtempSync(join(tmpdir(), 'amphorae-haproxy-'));
    stops.push(() => rmSync(directory, { recursive: true }));
    const pki = await createTestPki();
    const file = (name: string, content: string) => {
      writeFileSync(join(directory, name), content);
      return join(directory, name);
    };
    file('ca.pem', pki.ca);
    const identity = await pki.issue('member.example.com');
    file('member.pem', `${identity.cert}\n${identity.key}\n`);

    const bridge = `th${randomBytes(3).toString('hex')}`;
    await execute('ip', ['link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0']);
    stops.push(() => execute('ip', ['link', 'delete', bridge]));
    await execute('ip', ['link', 'set', bridge, 'addrgenmode', 'none', 'up']);
    const client = await createNamespace('client', bridge, [`${CLIENT}/24`, '10.94.0.101/24']);
    stops.push(() => client.remove());
    const members = await createNamespace(
      'members',
      bridge,
      MEMBERS.map((address) => `${address}/24`),
    );
    stops.push(() => members.remove());
    await startMembers(members, directory);

    const amphora = await TestAmphora.start();
    stops.push(() => amphora.stop());
    await amphora.attach(bridge, '02:94:00:00:00:01');
    await amphora.client.plugVip(amphora.target(), VIP, {
      ...{ subnet_cidr: '10.94.0.0/24', gateway: null, vrrp_ip: '10.94.0.11' },
      ...{ mac_address: '02:94:00:00:00:01', additional_vips: [] },
    });

    const secrets = new FileStore({ directory, env: programEnvironment() });
    const socket = new MasterSocket(join(amphora.stateDir, `${uuid(1)}.sock`));
    let revision = 0;
    return {
      amphora,
      client,
      members,
      pki,
      directory,
      stop,
      clientFile: file,
      secret(name, content) {
        file(name, content);
        return `file:${name}`;
      },
      async apply(parts) {
        revision += 1;
        const node = amphoraNode({ id: amphora.id, vrrpIp: '10.94.0.11' });
        const vip = { ...loadBalancer().vip, address: VIP };
        const graph = loadBalancer({ vip, amphorae: [node], revision, ...parts });
        const { files, unreadable } = await readTlsMaterial(graph, secrets);
        if (unreadable.size > 0) throw new Error([...unreadable.values()].join('; '));
        await pushHaproxy(amphora.client, amphora.target(), graph, node, {
          files,
          logConnections: false,
          ownMachine: false,
        });
        await amphora.client.setSecurityGroup(amphora.target(), renderSecurityGroup(graph, node));
      },
      curl: (url, ...options) => curl(client, url, options),
      ask: (command) => socket.ask(command),
      async worker() {
        return /^Pid: (\d+)$/m.exec(await socket.ask('show info'))?.[1] ?? '';
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The `n`th member of the stand, from 1. */
export function echoMember(n: 1 | 2 | 3, parts: Partial<MemberNode> = {}): MemberNode {
  return member({ id: uuid(29 + n), address: MEMBERS[n - 1] ?? '', protocolPort: 8080, ...parts });
}

async function startMembers(namespace: Namespace, directory: string): Promise<void> {
  const script = join(import.meta.dirname, 'echo-member.ts');
  const spec = {
    name: 'members',
    command: ['ip', 'netns', 'exec', namespace.name, process.execPath, script, directory] as [
      string,
      ...string[],
    ],
    env: process.env,
    log: join(directory, 'members.log'),
    deathSignal: 'KILL' as const,
  };
  const child = await startChild(spec);
  await whenReady(child, spec, 10, async () => (await namespace.curl('http://127.0.0.1:8080/', 1)) && true);
}

async function curl(client: Namespace, url: string, options: string[]): Promise<Response> {
  const command = ['curl', '--silent', '--include', '--globoff', '--max-time', '8', ...options, url];
  const { output, exit } = await client.exec(command, 15).then(
    (text) => ({ output: text, exit: 0 }),
    (error: { code: number; stdout: string }) => ({ output: error.stdout, exit: error.code }),
  );
  const end = output.indexOf('\r\n\r\n');
  const text = output.slice(end + 4);
  return {
    exit,
    status: Number(/^HTTP\/[\d.]+ (\d+)/.exec(output)?.[1] ?? 0),
    headers: output.slice(0, Math.max(end, 0)),
    text,
    echo: () => JSON.parse(text) as Echo,
  };
}
