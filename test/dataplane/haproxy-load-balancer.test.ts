// timeout: 180
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { amphoraeOf, ask, inAmphora, type Stand, startStand } from '../support/stand.ts';
import type { LoadBalancer } from '../support/system.ts';
import { createTestPki } from '../support/test-pki.ts';

// From the REST API to curl: TLS, policies, and changes of members that need no reload, through all that lies between.

const secrets = mkdtempSync(join(tmpdir(), 'amphorae-secrets-'));
const pki = await createTestPki();
let stand: Stand;
let balancer: LoadBalancer;

test.before(async () => {
  writeFileSync(join(secrets, 'ca.pem'), pki.ca);
  await storeCertificate();
  stand = await startStand({ secrets_dir: secrets });
  const [one, two] = stand.members.map(({ address4 }) => ({ address: address4, protocol_port: 8080 }));
  const pool = (name: string, ...members: unknown[]) => ({
    ...{ name, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members },
  });
  balancer = await stand.create({
    listeners: [
      {
        protocol: 'TERMINATED_HTTPS',
        protocol_port: 443,
        default_tls_container_ref: 'file:www.pem',
        default_pool: pool('all', one, two),
        l7policies: [
          {
            action: 'REDIRECT_TO_POOL',
            redirect_pool: pool('second', two),
            rules: [{ type: 'PATH', compare_type: 'STARTS_WITH', value: '/second' }],
          },
          { action: 'REJECT', rules: [{ type: 'PATH', compare_type: 'REGEX', value: '^/(private|second)' }] },
        ],
      },
      { protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'all' } },
    ],
  });
});
test.after(async () => {
  await stand?.stop();
  rmSync(secrets, { recursive: true });
});

async function storeCertificate(): Promise<void> {
  const { cert, key } = await pki.issue('www.example.com');
  writeFileSync(join(secrets, 'www.pem'), `${cert}\n${key}\n`, { mode: 0o600 });
}

/** The body, as a client gets it that knows the name and trusts the authority. */
async function browse(path: string): Promise<string> {
  const trust = [
    '--cacert',
    join(secrets, 'ca.pem'),
    '--resolve',
    `www.example.com:443:${balancer.vip_address}`,
  ];
  const url = `https://www.example.com${path}`;
  return (await stand.client.exec(['curl', '-sS', '--fail', '--max-time', '3', ...trust, url])).trim();
}

async function change(path: string, body: object): Promise<void> {
  await stand.system.api('PUT', `/v2.0/lbaas/${path}`, body);
  assert.is((await stand.settled(balancer.id)).provisioning_status, 'ACTIVE');
}

test('clients are served over TLS, and policies decide by whom', async () => {
  assert.is(balancer.provisioning_status, 'ACTIVE');
  assert.equal(new Set([await browse('/'), await browse('/')]), new Set(['member-1', 'member-2']));
  for (let count = 0; count < 3; count += 1) assert.is(await browse('/second'), 'member-2');
  await browse('/private').then(
    () => assert.unreachable('it was not rejected'),
    (error: Error) => assert.match(error.message, /403/),
  );
});

test('a member’s weight changes without a reload', async () => {
  const [amphora] = await amphoraeOf(stand, balancer.id);
  const workers = () => inAmphora(amphora?.id ?? '', ['pgrep', '-x', 'haproxy']);
  const before = workers();
  const { members } = await stand.system.api<{ members: { id: string }[] }>(
    'GET',
    `/v2.0/lbaas/pools/${await poolId()}/members?address=${stand.members[0]?.address4}`,
  );
  await change(`pools/${await poolId()}/members/${members[0]?.id}`, { member: { weight: 0 } });
  assert.is(workers(), before);
  assert.equal(new Set([await browse('/'), await browse('/'), await browse('/')]), new Set(['member-2']));
});

test('without its certificate one listener fails, and serves again when it is back', async () => {
  const rename = (name: string) => change(`loadbalancers/${balancer.id}`, { loadbalancer: { name } });
  rmSync(join(secrets, 'www.pem'));
  await rename('without');
  assert.is((await listener(443)).provisioning_status, 'ERROR');
  assert.is((await listener(80)).provisioning_status, 'ACTIVE');
  assert.ok(await ask(stand.client, `http://${balancer.vip_address}/`));
  await browse('/').then(
    () => assert.unreachable('it is served'),
    () => {},
  );
  await storeCertificate();
  await rename('with');
  assert.is((await listener(443)).provisioning_status, 'ACTIVE');
  assert.is(await browse('/'), 'member-2');
});

async function poolId(): Promise<string> {
  const { pools } = await stand.system.api<{ pools: { id: string }[] }>('GET', '/v2.0/lbaas/pools?name=all');
  return pools[0]?.id ?? '';
}

async function listener(port: number): Promise<{ provisioning_status: string }> {
  const { listeners } = await stand.system.api<{ listeners: { provisioning_status: string }[] }>(
    'GET',
    `/v2.0/lbaas/listeners?protocol_port=${port}`,
  );
  return listeners[0] ?? { provisioning_status: 'gone' };
}

test.run();
