/**
 * As much of SCTP (RFC 9260) as an association with one message each way takes, for hosts whose kernel has none: packets go
 * in and out of raw sockets, which socat opens.
 *
 *   sctp.ts ask SOURCE_PORT PORT    opens an association on standard input and output, sends a question, and prints the
 *                                   answer to standard error: {"text", "sourcePort", "intact"}
 *   sctp.ts answer TEXT             reads a packet and writes the answer: INIT ACK; or COOKIE ACK, SACK and the text
 */
const CHUNK = { data: 0, init: 1, initAck: 2, sack: 3, cookieEcho: 10, cookieAck: 11 };
const STATE_COOKIE = 7;
const HEADER = 12;
const DATA_HEADER = 12;
/** Not in fragments. */
const WHOLE_MESSAGE = 3;
const ASKERS_TAG = 0x0a0b0c0d;
const ANSWERERS_TAG = 0x01020304;
const FIRST_TSN = 1;
const WINDOW = 65_535;

interface Chunk {
  type: number;
  body: Buffer;
}

const [, , command, ...args] = process.argv;
if (command === 'ask') {
  const [sourcePort = 0, port = 0] = args.map(Number);
  process.stdout.write(packet(sourcePort, port, 0, [chunk(CHUNK.init, initBody(ASKERS_TAG))]));
  process.stdin.on('data', (data: Buffer) => ask(withoutIpHeader(data)));
} else {
  process.stdin.once('data', (data: Buffer) => {
    process.stdout.write(answer(withoutIpHeader(data), args.join(' ')));
    process.stdin.destroy();
  });
}

function ask(received: Buffer): void {
  const [from, to] = [received.readUInt16BE(0), received.readUInt16BE(2)];
  for (const { type, body } of chunksOf(received)) {
    if (type === CHUNK.initAck) {
      const tag = body.readUInt32BE(0);
      const cookie = body.subarray(16 + 4, 16 + body.readUInt16BE(16 + 2));
      const chunks = [chunk(CHUNK.cookieEcho, cookie), message('a question')];
      process.stdout.write(packet(to, from, tag, chunks));
    } else if (type === CHUNK.data) {
      const intact = checksum(received) === received.readUInt32LE(8);
      const text = body.subarray(DATA_HEADER).toString();
      process.stderr.write(`${JSON.stringify({ text, sourcePort: from, intact })}\n`);
      process.stdin.destroy();
    }
  }
}

function answer(received: Buffer, text: string): Buffer {
  const [from, to] = [received.readUInt16BE(0), received.readUInt16BE(2)];
  const [first, second] = chunksOf(received);
  if (first?.type === CHUNK.init) {
    // The cookie is all that we remember of the peer: its tag.
    const cookie = Buffer.from([0, STATE_COOKIE, 0, 8, ...first.body.subarray(0, 4)]);
    const reply = chunk(CHUNK.initAck, Buffer.concat([initBody(ANSWERERS_TAG), cookie]));
    return packet(to, from, first.body.readUInt32BE(0), [reply]);
  }
  if (first?.type !== CHUNK.cookieEcho) return Buffer.alloc(0);
  const asked = second?.type === CHUNK.data ? [acknowledgement(), message(text)] : [];
  const chunks = [chunk(CHUNK.cookieAck, Buffer.alloc(0)), ...asked];
  return packet(to, from, first.body.readUInt32BE(0), chunks);
}

function* chunksOf(received: Buffer): Generator<Chunk> {
  for (let at = HEADER; at + 4 <= received.length; ) {
    const length = received.readUInt16BE(at + 2);
    yield { type: received.readUInt8(at), body: received.subarray(at + 4, at + length) };
    at += padded(length);
  }
}

function message(text: string): Buffer {
  const head = Buffer.alloc(DATA_HEADER);
  head.writeUInt32BE(FIRST_TSN, 0);
  return chunk(CHUNK.data, Buffer.concat([head, Buffer.from(text)]), WHOLE_MESSAGE);
}

function acknowledgement(): Buffer {
  const body = Buffer.alloc(12);
  body.writeUInt32BE(FIRST_TSN, 0);
  body.writeUInt32BE(WINDOW, 4);
  return chunk(CHUNK.sack, body);
}

function initBody(tag: number): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32BE(tag, 0);
  body.writeUInt32BE(WINDOW, 4);
  body.writeUInt16BE(1, 8);
  body.writeUInt16BE(1, 10);
  body.writeUInt32BE(FIRST_TSN, 12);
  return body;
}

function chunk(type: number, body: Buffer, flags = 0): Buffer {
  const whole = Buffer.alloc(padded(4 + body.length));
  whole.writeUInt8(type, 0);
  whole.writeUInt8(flags, 1);
  whole.writeUInt16BE(4 + body.length, 2);
  body.copy(whole, 4);
  return whole;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function packet(sourcePort: number, port: number, verificationTag: number, chunks: Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt32BE(verificationTag, 4);
  const whole = Buffer.concat([header, ...chunks]);
  whole.writeUInt32LE(checksum(whole), 8);
  return whole;
}

/** CRC32c of the packet with the checksum's place zero. */
function checksum(whole: Buffer): number {
  const zeroed = Buffer.from(whole);
  zeroed.writeUInt32LE(0, 8);
  let crc = 0xffffffff;
  for (const byte of zeroed) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Raw sockets give IPv4 packets whole, and of IPv6 ones what is inside. */
function withoutIpHeader(data: Buffer): Buffer {
  const first = data[0] ?? 0;
  return first >> 4 === 4 ? data.subarray((first & 15) * 4) : data;
}
