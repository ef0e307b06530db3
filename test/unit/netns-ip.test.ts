import { randomUUID } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AmphoraeError } from '../../src/model/errors.ts';
import { ABSENT, ip } from '../../src/providers/netns/ip.ts';
import * as names from '../../src/providers/netns/names.ts';

const absent = 'amphorae-none';

test('a query is answered as data', async () => {
  const links = await ip.query(['link', 'show', 'dev', 'lo']);
  assert.is((links as { ifname: string }[])[0]?.ifname, 'lo');
});

test('nothing that is not a word becomes part of a command', async () => {
  for (const word of ['a\nlink delete lo', 'a"b', "a'b", 'a\\b', 'a;b', '$(a)', '', '#']) {
    const error = await failure(ip.batch([['link', 'set', absent, 'alias', word]]));
    assert.is(error.code, 'invalid_link_word', JSON.stringify(word));
  }
});

test('what may be absent is tolerated, and the commands after it run', async () => {
  await ip.batch(
    [
      ['link', 'delete', absent],
      ['link', 'show', 'dev', 'lo'],
    ],
    { tolerate: ABSENT },
  );
  const error = await failure(
    ip.batch(
      [
        ['link', 'delete', absent],
        ['link', 'set', 'lo', 'mtu', 'many'],
      ],
      { tolerate: ABSENT },
    ),
  );
  assert.is(error.code, 'link_failed');
  assert.match(error.message, /mtu/);
  assert.not.match(error.message, /Cannot find device/);
});

test('a failure says which commands and what ip said', async () => {
  const error = await failure(ip.batch([['link', 'set', absent, 'up']]));
  assert.is(error.kind, 'transient');
  assert.match(error.message, `ip link set ${absent} up: Cannot find device "${absent}"`);
});

test('interface names fit into the 15 characters of the kernel', () => {
  const id = randomUUID();
  const { bridgeSide, parent } = names.uplinkNames(id);
  const all = [
    names.bridgeName('ampn', id),
    names.hostLinkName(id),
    names.guestLinkName(id),
    names.managementLinkName(id),
    bridgeSide,
    parent,
    names.MANAGEMENT_INTERFACE,
  ];
  assert.equal(
    all.filter((name) => name.length > 15),
    [],
  );
  assert.is(new Set(all).size, all.length);
});

async function failure(work: Promise<unknown>): Promise<AmphoraeError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, AmphoraeError);
  return error as AmphoraeError;
}

test.run();
