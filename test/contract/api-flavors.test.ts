import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementError } from '../../src/model/errors.ts';
import type { ProfileReferences, Profiles } from '../../src/providers/profiles.ts';
import { startHarness } from './api-harness.ts';

const api = await startHarness();
test.after(() => api.stop());

const PROFILES = '/v2/lbaas/flavorprofiles';
const FLAVORS = '/v2/lbaas/flavors';
const profile = { name: 'p', provider_name: 'amphora', flavor_data: '{ "sriov_vip" : true }' };

test('a profile keeps its data byte for byte', async () => {
  const { id, ...rest } = await api.expect(201, 'POST', PROFILES, { flavorprofile: profile });
  assert.equal(rest, profile);
  const answer = (await api.send('GET', PROFILES)).body;
  assert.equal(Object.keys(answer), ['flavorprofiles', 'flavorprofile_links']);
  assert.equal(answer.flavorprofiles, [{ id, ...profile }]);
});

test('profiles that mean nothing are refused', async () => {
  const cases: [number, RegExp, object][] = [
    [400, /attribute name/, { name: null }],
    [400, /attribute provider_name/, { provider_name: 'f5' }],
    [400, /attribute flavor_data\..*JSON/, { flavor_data: '{' }],
    [400, /attribute flavor_data\..*4096/, { flavor_data: `"${'x'.repeat(4096)}"` }],
    [400, /attribute flavor_data/, { flavor_data: {} }],
    [501, /Flavor option color/, { flavor_data: '{"color": "red"}' }],
    [501, /Flavor option sriov_vip/, { flavor_data: '{"sriov_vip": "yes"}' }],
    [501, /Flavor option loadbalancer_topology/, { flavor_data: '{"loadbalancer_topology": "TRIPLE"}' }],
    [501, /Flavor option flavor_data/, { flavor_data: '[]' }],
    [400, /Unknown attribute/, { color: 'red' }],
  ];
  for (const [status, text, attributes] of cases) {
    await api.refuse(status, text, 'POST', PROFILES, { flavorprofile: { ...profile, ...attributes } });
  }
  await api.refuse(404, /Flavor Profile .* not found/, 'GET', `${PROFILES}/${randomUUID()}`);
});

test('a flavor is enabled unless it says otherwise, and its name is its own', async () => {
  const { id: flavor_profile_id } = await api.expect(201, 'POST', PROFILES, { flavorprofile: profile });
  const { id, ...rest } = await api.expect(201, 'POST', FLAVORS, {
    flavor: { name: 'fast', flavor_profile_id },
  });
  assert.equal(rest, { name: 'fast', description: '', enabled: true, flavor_profile_id });
  await api.refuse(409, /named fast already exists/, 'POST', FLAVORS, {
    flavor: { name: 'fast', flavor_profile_id },
  });
  await api.refuse(400, /Flavor Profile .* not found/, 'POST', FLAVORS, {
    flavor: { name: 'x', flavor_profile_id: randomUUID() },
  });
  await api.refuse(400, /attribute name/, 'POST', FLAVORS, { flavor: { flavor_profile_id } });

  const updated = await api.expect(200, 'PUT', `${FLAVORS}/${id}`, {
    flavor: { enabled: false, description: 'd' },
  });
  assert.equal([updated.enabled, updated.description, updated.name], [false, 'd', 'fast']);
  assert.is((await api.expect(200, 'PUT', `${FLAVORS}/${id}`, { flavor: {} })).name, 'fast');
  await api.expect(201, 'POST', FLAVORS, { flavor: { name: 'slow', flavor_profile_id } });
  await api.refuse(409, /named slow/, 'PUT', `${FLAVORS}/${id}`, { flavor: { name: 'slow' } });
  await api.refuse(400, /Unknown attribute/, 'PUT', `${FLAVORS}/${id}`, { flavor: { flavor_profile_id } });

  await api.refuse(409, /in use by a Flavor/, 'DELETE', `${PROFILES}/${flavor_profile_id}`);
  await api.refuse(409, /in use/, 'PUT', `${PROFILES}/${flavor_profile_id}`, {
    flavorprofile: { flavor_data: '{}' },
  });
  const renamed = { flavorprofile: { name: 'renamed' } };
  assert.is((await api.expect(200, 'PUT', `${PROFILES}/${flavor_profile_id}`, renamed)).name, 'renamed');
});

test('a profile that refers to what the provider does not have is refused, and so is a load balancer once it is gone', async () => {
  const missing = new Set<string>();
  const asked: ProfileReferences[] = [];
  const profiles: Profiles = {
    async check(references) {
      asked.push(references);
      const found = Object.values(references).find((value) => missing.has(value));
      if (found) throw new PlacementError('no_such_thing', `the provider has no ${found}`);
    },
  };
  Object.assign(api.dependencies, { profiles });
  missing.add('tiny').add('nowhere');
  const data = (value: object) => ({ ...profile, flavor_data: JSON.stringify(value) });
  await api.refuse(400, /attribute flavor_data.*has no tiny/, 'POST', PROFILES, {
    flavorprofile: data({ compute_flavor: 'tiny', amp_image_tag: 'new' }),
  });
  assert.equal(asked.at(-1), { computeFlavor: 'tiny', imageTag: 'new' });
  await api.refuse(400, /availability_zone_data.*nowhere/, 'POST', '/v2/lbaas/availabilityzoneprofiles', {
    availability_zone_profile: {
      name: 'z',
      provider_name: 'amphora',
      availability_zone_data: '{"compute_zone": "nowhere"}',
    },
  });
  const { id } = await api.expect(201, 'POST', PROFILES, { flavorprofile: data({ compute_flavor: 'big' }) });
  await api.refuse(400, /has no tiny/, 'PUT', `${PROFILES}/${id}`, {
    flavorprofile: { flavor_data: '{"compute_flavor": "tiny"}' },
  });
  const flavor_id = await api.createFlavor({ compute_flavor: 'big' });
  missing.add('big');
  await api.refuse(400, /has no big/, 'POST', '/v2/lbaas/loadbalancers', {
    loadbalancer: { vip_subnet_id: randomUUID(), flavor_id },
  });
  Object.assign(api.dependencies, { profiles: undefined });
});

test('what is in use cannot be deleted, but a deleted load balancer holds nothing', async () => {
  const flavor_id = await api.createFlavor({});
  const { id } = await api.createLoadBalancer({ flavor_id });
  await api.refuse(409, /in use by a Load Balancer/, 'DELETE', `${FLAVORS}/${flavor_id}`);
  await api.expect(204, 'DELETE', `/v2/lbaas/loadbalancers/${id}`);
  await api.settle();
  const { flavor_profile_id } = (await api.send('GET', `${FLAVORS}/${flavor_id}`)).body.flavor;
  assert.is((await api.send('DELETE', `${FLAVORS}/${flavor_id}`)).status, 204);
  await api.refuse(404, /Flavor .* not found/, 'DELETE', `${FLAVORS}/${flavor_id}`);
  assert.is((await api.send('DELETE', `${PROFILES}/${flavor_profile_id}`)).status, 204);
});

test.run();
