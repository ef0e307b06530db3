import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseIni } from '../../agent/ini.ts';
import { parseSettings, readSettings } from '../../agent/settings.ts';
import { agentSettings } from '../../src/effects/agent-settings.ts';
import { amphora, loadBalancer } from '../support/graph.ts';

const directory = mkdtempSync(join(tmpdir(), 'amphorae-agent-settings-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const AMPHORA = '0d9a3f4e-7c1b-4b5e-9a55-3b1f6f6c0001';

/** As an Octavia controller hands it to an amphora. */
const OCTAVIA = `
[DEFAULT]
debug = False
use_syslog = True

[haproxy_amphora]
base_cert_dir = /var/lib/octavia/certs
base_path = /var/lib/octavia
bind_host = ::
bind_port = 9443
haproxy_cmd = /usr/sbin/haproxy
respawn_count = 2
user_group = nogroup

[health_manager]
controller_ip_port_list = 192.0.2.10:5555, [2001:db8::10]:5555
heartbeat_interval = 10
heartbeat_key = s=e:cret #1

[amphora_agent]
agent_server_ca = /etc/octavia/certs/client_ca.pem
agent_server_cert = /etc/octavia/certs/server.pem
agent_request_read_timeout = 180
agent_tls_protocol = TLSv1.3
amphora_id = ${AMPHORA}
amphora_udp_driver = keepalived_lvs

[controller_worker]
loadbalancer_topology = ACTIVE_STANDBY
`;

test("Octavia's amphora-agent.conf is obeyed", () => {
  const path = join(directory, 'amphora-agent.conf');
  writeFileSync(path, OCTAVIA);
  const settings = readSettings(path);
  assert.is(settings.amphora_id, AMPHORA);
  assert.equal([settings.bind_address, settings.bind_port], ['::', 9443]);
  assert.equal(
    [settings.server_cert, settings.client_ca],
    ['/etc/octavia/certs/server.pem', '/etc/octavia/certs/client_ca.pem'],
  );
  assert.equal([settings.state_dir, settings.haproxy_path], ['/var/lib/octavia', '/usr/sbin/haproxy']);
  assert.is(settings.topology, 'ACTIVE_STANDBY');
  assert.is(settings.tls_min_version, 'TLSv1.3');
  assert.equal(settings.heartbeat, {
    controllers: ['192.0.2.10:5555', '[2001:db8::10]:5555'],
    key: 's=e:cret #1',
    interval_seconds: 10,
  });
  assert.is(settings.supervision, 'systemd');
  assert.is(settings.controller_name, null, 'the certificate of such a controller has no name of its own');
});

test('what it leaves out has a default', () => {
  const settings = parseSettings(`[amphora_agent]\namphora_id: ${AMPHORA}\n`, 'test');
  assert.is(settings.topology, 'SINGLE');
  assert.is(settings.heartbeat, undefined);
  assert.is(settings.server_cert, '/etc/octavia/certs/server.pem');
});

test('a file is read as oslo.config reads it', () => {
  const ini = parseIni(
    '# comment\n[a]\nx = 1\ny: two = 2\nz =\n  b\n  c\n; comment\n[b]\r\nx = "q "\r\n[a]\nx = 3\n',
  );
  assert.equal(Object.fromEntries(ini.get('a') ?? []), { x: '3', y: 'two = 2', z: '\nb\nc' });
  assert.equal(Object.fromEntries(ini.get('b') ?? []), { x: 'q ' });
});

test('a wrong file is refused with the name of what is wrong', () => {
  const octavia = (from: string, to: string) => OCTAVIA.replace(from, to);
  const cases: [string, RegExp][] = [
    ['{', /test: /],
    ['nonsense', /test: line 1 /],
    ['x = 1', /test: line 1 /],
    ['[amphora_agent]', /test: amphora_id: /],
    [octavia(AMPHORA, '../../etc'), /amphora_id: /],
    [octavia('bind_port = 9443', 'bind_port = high'), /bind_port: /],
    [octavia('TLSv1.3', 'SSLv3'), /tls_min_version: /],
    [octavia('192.0.2.10:5555', '192.0.2.10'), /heartbeat\.controllers\.0: /],
    [octavia('/var/lib/octavia/certs', '/etc'), /base_cert_dir: must be \/var\/lib\/octavia\/certs/],
    [octavia('ACTIVE_STANDBY', 'MANY'), /topology: /],
    [
      JSON.stringify({ amphora_id: AMPHORA, heartbeat: { controllers: [], key: 'k' } }),
      /heartbeat\.controllers: /,
    ],
    [JSON.stringify({ amphora_id: AMPHORA, heart: 1 }), /settings: .*heart/],
  ];
  for (const [text, reason] of cases) assert.throws(() => parseSettings(text, 'test'), reason, text);
});

test('what a controller tells an agent is what an agent takes', () => {
  const heartbeat = { controllers: ['[fd00::1]:5555'], key: 'k', interval_seconds: 3 };
  const node = amphora({ id: AMPHORA });
  const told = parseSettings(
    agentSettings(loadBalancer({ topology: 'ACTIVE_STANDBY' }), node, heartbeat),
    'x',
  );
  assert.equal([told.amphora_id, told.topology, told.heartbeat], [AMPHORA, 'ACTIVE_STANDBY', heartbeat]);
  assert.is(parseSettings(agentSettings(loadBalancer(), node, undefined), 'x').heartbeat, undefined);
});

test.run();
