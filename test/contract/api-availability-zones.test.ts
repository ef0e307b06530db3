import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../../src/config.ts';
import { startHarness } from './api-harness.ts';

const config = loadConfig({}, {});
const api = await startHarness({ config });
test.after(() => api.stop());

const PROFILES = '/v2/lbaas/availabilityzoneprofiles';
const ZONES = '/v2/lbaas/availabilityzones';
const LOAD_BALANCERS = '/v2/lbaas/loadbalancers';
const profile = { name: 'p', provider_name: 'amphora', availability_zone_data: '{ "compute_zone" : "a" }' };

async function createProfile(data: object = {}): Promise<string> {
  const availability_zone_profile = { ...profile, availability_zone_data: JSON.stringify(data) };
  return (await api.expect(201, 'POST', PROFILES, { availability_zone_profile })).id;
}

async function createZone(data: object = {}, attributes: object = {}): Promise<string> {
  const availability_zone_profile_id = await createProfile(data);
  const availability_zone = { name: `zone ${randomUUID()}/ä`, availability_zone_profile_id, ...attributes };
  return (await api.expect(201, 'POST', ZONES, { availability_zone })).name;
}

const pathOf = (name: string) => `${ZONES}/${encodeURIComponent(name)}`;

test('a profile keeps its data byte for byte', async () => {
  const created = await api.expect(201, 'POST', PROFILES, { availability_zone_profile: profile });
  const { id, ...rest } = created;
  assert.equal(rest, profile);
  const answer = (await api.send('GET', `${PROFILES}?name=p`)).body;
  assert.equal(Object.keys(answer), ['availability_zone_profiles', 'availability_zone_profile_links']);
  assert.equal(await api.show(`${PROFILES}/${id}`), created);
});

test('profiles that mean nothing are refused', async () => {
  for (const [status, text, attributes] of [
    [400, /attribute name/, { name: null }],
    [400, /attribute provider_name/, { provider_name: 'f5' }],
    [400, /attribute availability_zone_data\..*JSON/, { availability_zone_data: '{' }],
    [501, /Availability zone option color/, { availability_zone_data: '{"color": "red"}' }],
    [501, /valid_vip_networks/, { availability_zone_data: '{"valid_vip_networks": ["x"]}' }],
    [501, /management_network/, { availability_zone_data: '{"management_network": "x"}' }],
    [400, /Unknown attribute/, { flavor_data: '{}' }],
  ] as [number, RegExp, object][]) {
    const body = { availability_zone_profile: { ...profile, ...attributes } };
    await api.refuse(status, text, 'POST', PROFILES, body);
  }
  await api.refuse(404, /Availability Zone Profile .* not found/, 'GET', `${PROFILES}/${randomUUID()}`);
});

test('a zone goes by its name, which is its own', async () => {
  const availability_zone_profile_id = await createProfile();
  const zone = { name: 'a zone/1', availability_zone_profile_id };
  const created = await api.expect(201, 'POST', ZONES, { availability_zone: zone });
  assert.equal(created, { ...zone, description: '', enabled: true });
  assert.equal(await api.show(pathOf('a zone/1')), created);
  await api.refuse(409, /already exists/, 'POST', ZONES, { availability_zone: zone });
  await api.refuse(400, /Availability Zone Profile .* not found/, 'POST', ZONES, {
    availability_zone: { name: 'b', availability_zone_profile_id: randomUUID() },
  });
  const changed = { description: 'd', enabled: false };
  assert.equal(await api.expect(200, 'PUT', pathOf('a zone/1'), { availability_zone: changed }), {
    ...zone,
    ...changed,
  });
  await api.refuse(400, /Unknown attribute.*name/, 'PUT', pathOf('a zone/1'), {
    availability_zone: { name: 'b' },
  });
  await api.refuse(404, /Availability Zone x not found/, 'GET', `${ZONES}/x`);

  for (const name of ['c', 'd']) await createZone({}, { name });
  const page = (await api.send('GET', `${ZONES}?sort=name&limit=1&marker=c`)).body;
  assert.equal(
    page.availability_zones.map(({ name }: { name: string }) => name),
    ['d'],
  );
  assert.match(page.availability_zones_links[0].href, /marker=d/);

  const path = `${PROFILES}/${availability_zone_profile_id}`;
  await api.refuse(409, /in use by an Availability Zone/, 'DELETE', path);
  await api.refuse(409, /in use/, 'PUT', path, {
    availability_zone_profile: { availability_zone_data: '{}' },
  });
  await api.expect(200, 'PUT', path, { availability_zone_profile: { name: 'renamed' } });
  await api.expect(204, 'DELETE', pathOf('a zone/1'));
  await api.expect(204, 'DELETE', path);
});

test('a load balancer may only be in a zone that exists and is enabled, which then is in use', async () => {
  const zone = await createZone();
  const vip_subnet_id = randomUUID();
  const { id, availability_zone } = await api.createLoadBalancer({ availability_zone: zone });
  assert.is(availability_zone, zone);
  await api.refuse(409, /in use by a Load Balancer/, 'DELETE', pathOf(zone));
  await api.expect(204, 'DELETE', `${LOAD_BALANCERS}/${id}`);
  await api.settle();
  await api.expect(204, 'DELETE', pathOf(zone));

  const disabled = await createZone({}, { enabled: false });
  for (const [text, name] of [
    [/not found/, zone],
    [/disabled/, disabled],
  ] as const) {
    await api.refuse(400, text, 'POST', LOAD_BALANCERS, {
      loadbalancer: { vip_subnet_id, availability_zone: name },
    });
  }
});

test('the VIP networks of a zone replace those that are allowed otherwise, and denied ones stay denied', async () => {
  const [listed, other, denied] = [randomUUID(), randomUUID(), randomUUID()];
  const zone = await createZone({ valid_vip_networks: [listed, denied] });
  Object.assign(config, { valid_vip_networks: [other], denied_vip_networks: [denied] });
  for (const [vip_network_id, availability_zone, allowed] of [
    [listed, zone, true],
    [other, zone, false],
    [denied, zone, false],
    [other, null, true],
    [listed, null, false],
  ] as const) {
    const loadbalancer = { vip_network_id, availability_zone };
    if (allowed) await api.expect(201, 'POST', LOAD_BALANCERS, { loadbalancer });
    else await api.refuse(400, /not allowed for VIPs/, 'POST', LOAD_BALANCERS, { loadbalancer });
  }
  Object.assign(config, { valid_vip_networks: [], denied_vip_networks: [] });
});

test.run();
