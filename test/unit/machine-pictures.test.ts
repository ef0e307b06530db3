import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { machinePictures } from '../../scripts/generate-docs.ts';
import { stateName } from '../../src/actors/interpreter.ts';
import { Charts } from '../../src/visualizer/charts.ts';
import { drawingOf } from '../../src/visualizer/drawing.ts';
import { type Area, layOut } from '../../src/visualizer/layout.ts';
import { parentOf } from '../../src/visualizer/statechart.ts';
import { eventTransitions, leafStates } from '../support/chart.ts';

const docs = join(import.meta.dirname, '../../docs');
const charts = new Charts();

test('docs/machines/ has the pictures of the machines as they are, and docs/machines.md shows them', async () => {
  const pictures = await machinePictures();
  assert.equal(readdirSync(join(docs, 'machines')).sort(), pictures.map(([name]) => name).sort());
  const page = readFileSync(join(docs, 'machines.md'), 'utf8');
  for (const [name, svg] of pictures) {
    assert.is(readFileSync(join(docs, 'machines', name), 'utf8'), svg, 'run npm run docs');
    assert.match(page, `(machines/${name})`);
  }
});

for (const kind of charts.kinds()) {
  test(`every state and transition of ${kind} is in its picture, once`, async () => {
    const { states, transitions } = charts.chart(kind);
    const svg = await charts.picture(kind);
    const drawn = [...svg.matchAll(/data-state="([^"]*)"/g)].map(([, path]) => path);
    assert.equal(drawn.sort(), [...states.keys()].sort());
    for (const path of leafStates(charts.machine(kind))) assert.ok(drawn.includes(path), path);
    const keys = [...svg.matchAll(/data-transition="([^"]*)"/g)].map(([, key]) => key);
    assert.equal(keys.sort(), transitions.map(({ key }) => key).sort());
    assert.is(new Set(keys).size, keys.length);
    const onEvents = transitions.filter(({ event }) => event !== '');
    assert.is(onEvents.length, eventTransitions(charts.machine(kind)).length);
  });

  test(`no two boxes of ${kind} overlap, and each lies in the one around it`, async () => {
    const { areas } = await layOut(drawingOf(charts.chart(kind)));
    for (const [path, area] of areas) {
      if (path === '') continue;
      assert.ok(inside(area, areas.get(parentOf(path))), path);
      for (const [other, beside] of areas) {
        const siblings = other !== '' && other !== path && parentOf(other) === parentOf(path);
        assert.not.ok(siblings && overlap(area, beside), `${path} and ${other}`);
      }
    }
  });
}

test('the state that is lit, those around it and the last transition are marked, and nothing else', async () => {
  const key = 'creating.allocatingVip/xstate.done.actor.allocateVip';
  const svg = await charts.picture('load-balancer', {
    state: stateName({ creating: 'awaitingAmphorae' }),
    last: [key],
  });
  const lit = [...svg.matchAll(/class="[^"]*\blit" data-state="([^"]*)"/g)].map(([, path]) => path);
  assert.equal(lit, ['creating', 'creating.awaitingAmphorae']);
  const last = [...svg.matchAll(/class="[^"]*\blast" data-(?:transition|carries)="([^"]*)"/g)];
  assert.equal(
    last.map(([, name]) => name),
    [key, key],
  );
});

test('what stands in a picture that is put into a page is text, and needs no style of its own', async () => {
  const svg = await charts.picture('load-balancer');
  assert.not.match(svg, '<style');
  assert.not.match(svg, /\sstyle=/);
  assert.not.match(svg, '<script');
});

function inside(inner: Area, outer: Area | undefined): boolean {
  return (
    outer !== undefined &&
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

function overlap(one: Area, other: Area): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

test.run();
