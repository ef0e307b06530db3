import fc from 'fast-check';

/** An address of either family. */
export const address = fc.oneof(fc.ipV4(), fc.ipV6());
const cidr = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
  fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
);
/** A network of either family. */
export const cidrText = cidr.map(([text, prefix]) => `${text}/${prefix}`);

/** What nft, ip or a shell would read as more than a value, alone and in a valid one. */
const syntax = fc.constantFrom(
  ...[
    '\n',
    ';',
    '}',
    '{',
    ',',
    '@vips-4',
    '$x',
    '"',
    "'",
    '`',
    '\\',
    '\0',
    '#',
    ' ',
    'accept',
    '-',
    '0x',
    '!',
    '*',
    '\u2028',
  ],
);
/** Texts, and other values, that are made to be more than what they stand for. */
export const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.tuple(cidrText, syntax, fc.string()).map((parts) => parts.join('')),
  fc.tuple(syntax, cidrText).map((parts) => parts.join('')),
  fc.tuple(address, syntax, address).map((parts) => parts.join('')),
  fc.anything(),
);
