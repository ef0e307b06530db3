import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { L7RuleNode, LoadBalancerGraph } from '../../src/model/graph.ts';
import { renderHaproxy } from '../../src/render/haproxy.ts';
import { TlsFiles, tlsReferences } from '../../src/render/tls-files.ts';
import {
  amphora,
  healthMonitor,
  l7policy,
  l7rule,
  listener,
  loadBalancer,
  pool,
  uuid,
} from '../support/graph.ts';
import { checkHaproxy, haproxyWords } from '../support/haproxy-config.ts';

// Nothing that a user says becomes syntax of haproxy: whatever it is, the configuration has the same lines with the same
// words but those, and these are what was said. The API allows far less than what is tried here.

/** Every place of a load balancer where text of a user reaches the configuration. */
interface Said {
  value: string;
  key: string;
  url: string;
  prefix: string;
  path: string;
  domain: string;
  codes: string;
  cookie: string;
  ciphers: string;
  reference: string;
  header: string;
}

const RULE_TYPES = [
  'HOST_NAME',
  'PATH',
  'FILE_TYPE',
  'HEADER',
  'COOKIE',
  'SSL_DN_FIELD',
  'SSL_VERIFY_RESULT',
] as const;

function balancer(said: Said): LoadBalancerGraph {
  const rules = RULE_TYPES.map(
    (type, index): L7RuleNode => l7rule({ id: uuid(600 + index), type, key: said.key, value: said.value }),
  );
  const policy = (id: number, parts: Parameters<typeof l7policy>[0]) =>
    l7policy({ id: uuid(id), rules: [l7rule({ id: uuid(id + 100) })], ...parts });
  return loadBalancer({
    listeners: [
      listener({
        protocol: 'TERMINATED_HTTPS',
        defaultTlsContainerRef: said.reference,
        tlsCiphers: said.ciphers,
        insertHeaders: { [said.header]: 'true', 'X-Forwarded-For': said.header },
        l7policies: [
          policy(50, { rules }),
          policy(51, { action: 'REDIRECT_TO_URL', redirectUrl: said.url }),
          policy(52, { action: 'REDIRECT_PREFIX', redirectPrefix: said.prefix }),
        ],
      }),
    ],
    pools: [
      pool({
        name: said.value,
        sessionPersistence: {
          type: 'APP_COOKIE',
          cookie_name: said.cookie,
          persistence_timeout: null,
          persistence_granularity: null,
        },
        healthMonitor: healthMonitor({
          urlPath: said.path,
          httpVersion: 1.1,
          domainName: said.domain,
          expectedCodes: said.codes,
        }),
      }),
    ],
  });
}

function render(graph: LoadBalancerGraph): string {
  const files = new TlsFiles();
  for (const each of graph.listeners)
    for (const reference of tlsReferences(graph, each)) files.add(reference, reference.ref);
  return renderHaproxy(graph, amphora(), files) ?? '';
}

/** The lines of a configuration as haproxy reads them, without what follows from the user's words alone. */
const shape = (config: string) =>
  config.split('\n').map((line) =>
    haproxyWords(line)
      .map((word, place) => (place < 2 ? word : '*'))
      .join(' '),
  );

const harmless: Said = {
  ...{ value: 'v', key: 'k', url: 'u', prefix: 'p', path: '/', domain: 'd', codes: '200', cookie: 'c' },
  ...{ ciphers: 'TLS_A:B', reference: 'file:a', header: 'h' },
};

const nasty = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
    fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 255 }),
    fc
      .array(
        fc.constantFrom(
          ...[
            `'`,
            `"`,
            '\\',
            '\n',
            '\r',
            '\t',
            ' ',
            '#',
            '$',
            '$HOME',
            '%',
            '%[src]',
            '%{+Q}',
            '(',
            ')',
            ',',
            '{',
            '}',
            '!',
          ],
          ...[
            '\nbackend x\n',
            "'\n",
            '-f',
            '--',
            ' if TRUE',
            ' || ',
            '\\x0a',
            '\u0085',
            '\u2028',
            '\x7f',
            'a',
            '[',
            ']',
          ],
        ),
        { minLength: 1, maxLength: 12 },
      )
      .map((parts) => parts.join('')),
  )
  .map((text) => text.replaceAll('\0', ''));

/** A word of the configuration that has to be exactly what was said; in redirects and Host `%` is doubled. */
const literally: ((said: Said) => string)[] = [
  ({ value }) => value,
  ({ path }) => path,
  ({ domain }) => domain.replaceAll('%', '%%'),
  ({ url }) => url.replaceAll('%', '%%'),
  ({ prefix }) => prefix.replaceAll('%', '%%'),
];

test('whatever is said, lines and words stay what they are, and what was said is said', () => {
  const said = fc.record(
    Object.fromEntries(Object.keys(harmless).map((name) => [name, nasty])) as Record<
      keyof Said,
      typeof nasty
    >,
  );
  const expected = shape(render(balancer(harmless)));
  fc.assert(
    fc.property(said, (spoken) => {
      const { ciphers, codes } = harmless;
      const config = render(balancer({ ...spoken, ciphers, codes }));
      assert.equal(shape(config), expected);
      const words = new Set(config.split('\n').flatMap(haproxyWords));
      for (const word of literally)
        assert.ok(words.has(word(spoken)), `${JSON.stringify(word(spoken))} is not there`);
    }),
    { numRuns: 500 },
  );
});

test('ciphers and expected codes cannot leave their word either', () => {
  fc.assert(
    fc.property(nasty, nasty, (ciphers, codes) => {
      const lines = (config: string) => config.split('\n').map((line) => haproxyWords(line)[0]);
      const config = render(balancer({ ...harmless, ciphers, codes }));
      assert.equal(lines(config), lines(render(balancer(harmless))));
      const options = haproxyWords(config.split('\n').find((line) => line.includes(' bind ')) ?? '');
      const known = [
        'bind',
        'ssl',
        'crt-list',
        'ciphers',
        'ciphersuites',
        'ssl-min-ver',
        'ssl-max-ver',
        'TLSv1.3',
      ];
      const given = options.filter(
        (word, place) =>
          known.includes(word) || ['ciphers', 'ciphersuites'].includes(options[place - 1] ?? ''),
      );
      assert.is(
        given.length,
        options.length - 2,
        `only an address and a file besides: ${options.join(' | ')}`,
      );
    }),
    { numRuns: 300 },
  );
});

test('haproxy itself reads fifty such texts at once as conditions and nothing else', () => {
  for (const seed of [1, 2, 3]) {
    const texts = fc.sample(nasty, { numRuns: 50, seed });
    const types = ['PATH', 'HEADER', 'COOKIE', 'HOST_NAME'] as const;
    const rules = texts.map((text, index) =>
      l7rule({ id: uuid(700 + index), type: types[index % 4] ?? 'PATH', value: text, key: `k${text}` }),
    );
    checkHaproxy(render(loadBalancer({ listeners: [listener({ l7policies: [l7policy({ rules })] })] })));
  }
});

test.run();
