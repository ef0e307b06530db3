import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as z from 'zod';
import { attribute, Flag, integer, mandatory, onPost, onPut, text } from '../../src/http/attributes.ts';

const accepts = (schema: z.ZodType, value: unknown) => schema.safeParse(value).data;

test('integers are numbers or decimal strings, nothing else', () => {
  const schema = integer(-1, 100);
  for (const [given, expected] of [
    [5, 5],
    ['5', 5],
    ['-1', -1],
    ['+7', 7],
    ['007', 7],
  ] as const) {
    assert.is(accepts(schema, given), expected);
  }
  for (const given of [
    true,
    1.5,
    '1.5',
    '',
    ' 5',
    '5 ',
    '0x5',
    '1e1',
    null,
    [],
    {},
    -2,
    101,
    Number.NaN,
    '9'.repeat(400),
  ]) {
    assert.is(accepts(schema, given), undefined, String(given));
  }
});

test('booleans are written in lower case', () => {
  for (const given of [true, 1, 'true', 'yes', 'on', '1'])
    assert.is(accepts(Flag, given), true, String(given));
  for (const given of [false, 0, 'false', 'no', 'off', '0'])
    assert.is(accepts(Flag, given), false, String(given));
  for (const given of ['True', 'FALSE', 'maybe', 2, '', [], {}])
    assert.is(accepts(Flag, given), undefined, String(given));
});

test('text is what PostgreSQL can store', () => {
  assert.is(accepts(text(3), 'äöü'), 'äöü');
  for (const given of ['abcd', 'a\0', '\ud800', 5])
    assert.is(accepts(text(3), given), undefined, String(given));
});

test('one definition gives the POST and the PUT', () => {
  const attributes = { weight: attribute(integer(0), 1), delay: mandatory(integer(0)) };
  const post = z.strictObject(onPost(attributes));
  const put = z.strictObject(onPut(attributes));
  assert.equal(post.parse({ delay: 5 }), { delay: 5, weight: 1 });
  assert.equal(post.parse({ delay: 5, weight: null }), { delay: 5, weight: 1 });
  assert.not(post.safeParse({ weight: 2 }).success);
  assert.equal(put.parse({}), {});
  assert.equal(put.parse({ weight: null }), { weight: 1 });
  assert.not(put.safeParse({ delay: null }).success);
});

test.run();
