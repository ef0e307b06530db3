import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../../src/cli/up/wait.ts';
import { TestAmphora } from '../support/test-amphora.ts';

// One amphora of a pair, driven by its API: what the agent does about VRRP.

const VIP = '10.93.0.10';
const VIP6 = '2001:db8:93::10';
const LOAD_BALANCER = '5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c001';
const bridge = `tv${randomBytes(3).toString('hex')}`;

let amphora: TestAmphora;
let health: string;

test.before(async () => {
  execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0']);
  execFileSync('ip', ['link', 'set', bridge, 'addrgenmode', 'none', 'up']);
  amphora = await TestAmphora.start({ topology: 'ACTIVE_STANDBY' });
  health = `${amphora.stateDir}/vrrp/health`;
  await amphora.attach(bridge, '02:93:00:00:00:01');
  await amphora.client.plugVip(amphora.target(), VIP, {
    subnet_cidr: '10.93.0.0/24',
    gateway: '10.93.0.1',
    mac_address: '02:93:00:00:00:01',
    vrrp_ip: '10.93.0.11',
    additional_vips: [{ ip_address: VIP6, subnet_cidr: '2001:db8:93::/64', gateway: '2001:db8:93::1' }],
  });
});
test.after(async () => {
  await amphora?.stop();
  execFileSync('ip', ['link', 'delete', bridge]);
});

test('routes back from the VIPs are there before the VIPs are', async () => {
  assert.not.match(await inside('ip -brief address show dev eth1'), new RegExp(`${VIP}/|${VIP6}/`));
  assert.match(await inside('ip rule'), /from 10\.93\.0\.10 lookup 1/);
  assert.match(await inside('ip -6 rule'), /from 2001:db8:93::10 lookup 2/);
  assert.match(await inside('ip route show table 1'), /default via 10\.93\.0\.1 dev eth1/);
  assert.match(await inside('ip -6 route show table 2'), /default via 2001:db8:93::1 dev eth1/);
});

test('without keepalived the amphora has no part in its pair', async () => {
  assert.is(await state(), null);
});

test('a configuration that keepalived does not understand is refused', async () => {
  const answer = await amphora.call('PUT', '/1.0/vrrp/upload', 'vrrp_instance {{{', '1');
  assert.is(answer.status, 400);
  assert.is((await amphora.call('PUT', '/1.0/vrrp/reload', '', '1')).status, 400);
});

test('an amphora without a peer becomes master of the VIPs of both families', async () => {
  await upload(config(100));
  await until('MASTER');
  assert.match(await inside('ip -brief address show dev eth1'), new RegExp(`${VIP}/32.*${VIP6}/128`));
});

test('a restarted agent knows what it is', async () => {
  await amphora.restartAgent();
  assert.is(await state(), 'MASTER');
});

test('the same configuration again does not disturb keepalived, another one is read', async () => {
  // A restarted agent does not know what keepalived has read, and lets it read once more.
  for (const priority of [100, 100, 90]) await upload(config(priority));
  await waitFor('keepalived to read', 5, async () => (await reloads()) >= 2 || undefined);
  assert.is(await reloads(), 2);
  assert.is(await state(), 'MASTER');
});

test('a haproxy that hangs makes the amphora give up its VIPs until it answers again', async () => {
  await amphora.client.uploadHaproxy(amphora.target(), LOAD_BALANCER, haproxyConfig);
  await amphora.client.reloadHaproxy(amphora.target(), LOAD_BALANCER);
  assert.is(await state(), 'MASTER');
  await inside('pkill -STOP -x haproxy');
  await until('FAULT');
  await waitFor('the VIPs to go', 5, async () =>
    (await inside('ip -brief address show dev eth1')).includes(VIP) ? undefined : true,
  );
  await inside('pkill -CONT -x haproxy');
  await until('MASTER');
});

test('a keepalived that is stopped has no state', async () => {
  assert.is((await amphora.call('PUT', '/1.0/vrrp/stop', '', '1')).status, 202);
  assert.is(await state(), null);
});

const inside = (command: string) => amphora.inDataPlane(command.split(' '));
const reloads = async () =>
  [...(await inside('cat /run/amphora/keepalived.log')).matchAll(/Reload complete/g)].length;

async function state(): Promise<unknown> {
  return (await amphora.client.details(amphora.target())).vrrp_state;
}

function until(wanted: string): Promise<unknown> {
  return waitFor(`the state ${wanted}`, 10, async () => (await state()) === wanted || undefined);
}

async function upload(text: string): Promise<void> {
  await amphora.client.uploadKeepalived(amphora.target(), text);
  await amphora.client.reloadKeepalived(amphora.target());
}

const config = (priority: number) => `global_defs {
    router_id test
}
track_file haproxy {
    file "${health}"
    weight 0
}
vrrp_instance test {
    version 3
    state BACKUP
    interface eth1
    virtual_router_id 1
    priority ${priority}
    advert_int 0.2
    track_file {
        haproxy
    }
    unicast_src_ip 10.93.0.11
    unicast_peer {
        10.93.0.12
    }
    virtual_ipaddress {
        ${VIP}/32 dev eth1
    }
    virtual_ipaddress_excluded {
        ${VIP6}/128 dev eth1
    }
}
`;

const haproxyConfig = `global
  user nobody
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend 5f0e1f6c-8f43-4e6c-9f62-0d5ab3a1c0f1
  bind ${VIP}:80
`;

test.run();
