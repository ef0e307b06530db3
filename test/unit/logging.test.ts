import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { Agent, request } from 'undici';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createLogger } from '../../src/logging/logger.ts';
import { prettyStream } from '../../src/logging/pretty.ts';

type Log = ReturnType<typeof createLogger>;

/** What comes out, line by line. */
function written(work: (log: Log) => void, secrets: string[] = []): string[] {
  let text = '';
  const destination = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  work(createLogger({ level: 'trace', secrets, base: { node: 'node-1' } }, destination));
  return text.split('\n').slice(0, -1);
}

const Secret = fc
  .string({ minLength: 8, maxLength: 60, unit: fc.constantFrom(...'abcXYZ0189-_+/=.!"\\<>{}$\n ü') })
  .filter((secret) => secret.trim().length >= 8);
/** As it would stand in JSON. */
const asWritten = (secret: string) => JSON.stringify(secret).slice(1, -1);

/** Ways in which something gets into a line. */
const places: ((log: Log, secret: string) => void)[] = [
  (log, secret) => log.info(`it is ${secret}, I am told`),
  (log, secret) => log.info({ answer: { deep: [{ down: secret }] } }, 'there'),
  (log, secret) => log.error(new Error(secret), 'failed'),
  (log, secret) =>
    log.error({ err: new Error('outer', { cause: new TypeError(`inner ${secret}`) }) }, 'failed'),
  (log, secret) => log.error({ err: new AggregateError([new Error(secret)], 'all') }, 'failed'),
  (log, secret) => log.child({ request: secret }).warn('child'),
];

test('a secret that the process knows never comes out, wherever it stands', () => {
  fc.assert(
    fc.property(Secret, fc.constantFrom(...places), (secret, place) => {
      const lines = written((log) => place(log, secret), [secret]);
      assert.is(lines.length, 1);
      assert.not.ok(lines[0]?.includes(asWritten(secret)), lines[0]);
    }),
    { numRuns: 500 },
  );
});

const Name = fc.constantFrom(
  ...[
    'X-Auth-Token',
    'x-subject-token',
    'authorization',
    'Cookie',
    'set-cookie',
    'password',
    'os_password',
    'pass',
  ],
  ...['token', 'heartbeat_key', 'private_key', 'privateKey', 'passphrase', 'api-key', 'secret'],
  ...['os_application_credential_secret'],
);

test('what a name says to be secret never comes out, however deep, in objects, lists of headers and errors', () => {
  fc.assert(
    fc.property(Secret, Name, fc.nat(4), (secret, name, depth) => {
      let fields: Record<string, unknown> = { [name]: secret, headers: ['accept', '*/*', name, secret] };
      for (let level = 0; level < depth; level += 1) fields = { inside: fields, also: [fields] };
      const error = Object.assign(new Error('refused'), { [name]: secret, request: fields });
      error.cause = Object.assign(new Error('because'), { options: fields, headers: { [name]: secret } });
      const lines = written((log) => {
        log.info(fields, 'fields');
        log.error({ err: error }, 'error');
        log.error(error);
      });
      assert.is(lines.length, 3);
      for (const line of lines) {
        JSON.parse(line);
        assert.not.ok(line.includes(asWritten(secret)), line);
      }
    }),
    { numRuns: 500 },
  );
});

const Word = fc.string({ minLength: 12, maxLength: 40, unit: fc.constantFrom(...'abcdefXYZ0123456789-_') });

test('tokens, private keys and passwords in running text never come out', () => {
  fc.assert(
    fc.property(Word, (word) => {
      const texts = [
        `refused: X-Auth-Token: ${word}`,
        `curl -H 'x-auth-token: ${word}'`,
        `{"auth":{"password":"${word}"}}`,
        `Authorization: Bearer ${word}`,
        `cannot reach postgres://amphorae:${word}@db/amphorae`,
        `token gAAAAAB${word}==`,
        `-----BEGIN PRIVATE KEY-----\n${word}\n${word}\n-----END PRIVATE KEY-----`,
        `-----BEGIN EC PRIVATE KEY-----\n${word}`,
        `heartbeat_key=${word}`,
      ];
      for (const text of texts) {
        const lines = written((log) => {
          log.info(text);
          log.warn({ err: new Error('outer', { cause: new Error(text) }), detail: text }, 'failed');
        });
        for (const line of lines) {
          JSON.parse(line);
          assert.not.ok(line.includes(word), line);
        }
      }
    }),
    { numRuns: 100 },
  );
  const key = 'ab'.repeat(32);
  assert.not.match(written((log) => log.info({ controllers: [], key }, 'settings')).join(), /abab/);
});

test('objects of an HTTP client come out as their names', async () => {
  const agent = new Agent();
  const headers = { 'x-auth-token': 'a-token-of-a-user' };
  const error: Error = await request('http://127.0.0.1:1/', { headers, dispatcher: agent }).then(
    () => new Error('somebody is there'),
    (refused) => refused,
  );
  Object.assign(error, { request: new Request('http://x/?token=a-token-of-a-user', { headers }), agent });
  const [line = ''] = written((log) =>
    log.error({ err: error, headers: new Headers(headers), agent, pass: new PassThrough() }, 'failed'),
  );
  assert.not.match(line, /a-token/);
  const { err, headers: shown, agent: client } = JSON.parse(line);
  assert.is(err.code, 'ECONNREFUSED');
  assert.equal([shown, client], ['[Headers]', '[Agent]']);
});

test('a line is JSON with its level, time, process, message and fields, and an error with its causes', () => {
  const cause = Object.assign(new Error('no route'), { code: 'EHOSTUNREACH', syscall: 'connect' });
  const [line = ''] = written((log) =>
    log.warn({ loadbalancer_id: 'lb', at: new Date(0), err: new Error('agent is away', { cause }) }, 'later'),
  );
  const { level, time, node, msg, loadbalancer_id, at, err } = JSON.parse(line);
  assert.equal(
    [level, node, msg, loadbalancer_id, at],
    ['warn', 'node-1', 'later', 'lb', '1970-01-01T00:00:00.000Z'],
  );
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal([err.type, err.message], ['Error', 'agent is away']);
  assert.equal(
    [err.cause.code, err.cause.syscall, err.cause.message],
    ['EHOSTUNREACH', 'connect', 'no route'],
  );
  assert.match(err.stack, /logging\.test\.ts/);
});

test('what refers to itself, or never ends, is still one line', () => {
  const circle: Record<string, unknown> = { name: 'circle' };
  circle.again = circle;
  circle.all = Array.from({ length: 100 }, () => circle);
  const error: Error = new Error('mine');
  error.cause = error;
  const lines = written((log) => log.info({ circle, err: error, big: 1n, none: undefined }, 'round'));
  assert.is(lines.length, 1);
  assert.ok((lines[0]?.length ?? 0) < 100_000);
});

test('for people, a line has its time, level and message, and its fields below', async () => {
  const output = new PassThrough();
  const log = createLogger({ level: 'info', base: { node: 'node-1' } }, prettyStream(output));
  log.warn({ loadbalancer_id: 'lb-1', password: 'hush-hush' }, 'an amphora has fallen silent');
  const text = String(output.read());
  assert.match(
    text,
    /^\[\d\d:\d\d:\d\d\.\d+\] WARN.*: an amphora has fallen silent\n {4}loadbalancer_id: "lb-1"/,
  );
  assert.not.match(text, /hush/);
});

test.run();
