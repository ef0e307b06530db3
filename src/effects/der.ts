/** The few ASN.1 types in DER that a certificate is made of (X.690), each as its bytes. */
export function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, ...parts);
}

export function setOf(...parts: Buffer[]): Buffer {
  return tagged(0x31, ...parts);
}

export function integer(value: number): Buffer {
  if (value < 0 || value > 127) throw new RangeError(`${value} takes more than one byte`);
  return tagged(0x02, Buffer.of(value));
}

export function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.of(value ? 0xff : 0));
}

/** `bytes` with the number of bits at their end that do not count. */
export function bitString(bytes: Buffer, unused = 0): Buffer {
  return tagged(0x03, Buffer.of(unused), bytes);
}

export function octetString(bytes: Buffer): Buffer {
  return tagged(0x04, bytes);
}

export function utf8String(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text));
}

/** `1.2.840.10045.4.3.2` */
export function objectIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...others].flatMap(base128)));
}

/** To the second. Years up to 2049 have two digits, later ones four (RFC 5280, 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = `${date.toISOString().slice(0, 19).replace(/\D/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? tagged(0x17, Buffer.from(digits.slice(2)))
    : tagged(0x18, Buffer.from(digits));
}

/** Any value under a tag of its own: its bytes follow the tag and their length. */
export function tagged(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...length(content.length)]), content]);
}

function length(value: number): number[] {
  if (value < 0x80) return [value];
  return value < 0x100 ? [0x81, value] : [0x82, value >> 8, value & 0xff];
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}
