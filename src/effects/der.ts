/** DER (X.690), as far as certificates need it. Each function puts one value into bytes. */

export const sequence = (...elements: Uint8Array[]) => encode(0x30, elements);
export const set = (...elements: Uint8Array[]) => encode(0x31, elements);
/** A positive one, out of its bytes; the first bit is not set. */
export const integer = (bytes: Uint8Array) => encode(0x02, [bytes]);
export const boolean = (value: boolean) => encode(0x01, [Buffer.of(value ? 0xff : 0)]);
export const bitString = (bytes: Uint8Array, unused = 0) => encode(0x03, [Buffer.of(unused), bytes]);
export const octetString = (bytes: Uint8Array) => encode(0x04, [bytes]);
export const utf8String = (text: string) => encode(0x0c, [Buffer.from(text)]);
/** A value in a context of its own; `constructed` when there are values in it. */
export const tagged = (tag: number, constructed: boolean, ...contents: Uint8Array[]) =>
  encode(0x80 | (constructed ? 0x20 : 0) | tag, contents);

/** `1.2.840.10045.4.3.2`: seven bits to a byte, all but the last of a number marked. */
export function objectIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...others].flatMap((number) => {
    const septets = [number & 0x7f];
    for (let rest = number >>> 7; rest > 0; rest >>>= 7) septets.unshift((rest & 0x7f) | 0x80);
    return septets;
  });
  return encode(0x06, [Buffer.from(bytes)]);
}

/** A time to the second; the year has two digits until 2049 (RFC 5280, 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+|[-:T]/g, '');
  const short = date.getUTCFullYear() < 2050;
  return encode(short ? 0x17 : 0x18, [Buffer.from(short ? digits.slice(2) : digits)]);
}

function encode(tag: number, contents: Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const long = [length & 0xff];
  for (let rest = length >>> 8; rest > 0; rest >>>= 8) long.unshift(rest & 0xff);
  const prefix = length < 0x80 ? [tag, length] : [tag, 0x80 | long.length, ...long];
  return Buffer.concat([Buffer.from(prefix), ...contents]);
}

/** The values in a value, each with its tag and length. @param der what we made, or OpenSSL has read before */
export function elements(der: Buffer): Buffer[] {
  const { start, end } = contentsAt(der, 0);
  const found: Buffer[] = [];
  for (let at = start; at < end; ) {
    const next = contentsAt(der, at).end;
    found.push(der.subarray(at, next));
    at = next;
  }
  return found;
}

/** What a value is made of, without tag and length. */
export function contentsOf(der: Buffer): Buffer {
  const { start, end } = contentsAt(der, 0);
  return der.subarray(start, end);
}

function contentsAt(der: Buffer, at: number): { start: number; end: number } {
  const first = der[at + 1] ?? 0;
  const bytes = first & 0x80 ? first & 0x7f : 0;
  const length = bytes === 0 ? first : der.readUIntBE(at + 2, bytes);
  const start = at + 2 + bytes;
  return { start, end: start + length };
}
