/**
 * As much of SCTP (RFC 9260) as opening an association takes, for hosts whose kernel has none: packets go in and out of raw
 * sockets, which socat opens.
 *
 *   sctp.ts init SOURCE_PORT PORT    writes an INIT to standard output
 *   sctp.ts answer TAG               reads a packet and writes the answer: INIT ACK with that tag, COOKIE ACK
 *   sctp.ts show                     reads a packet and prints {"type", "sourcePort", "tag", "intact"}
 */
const CHUNK = { init: 1, initAck: 2, cookieEcho: 10, cookieAck: 11 };
const STATE_COOKIE = 7;
const HEADER = 12;
const OWN_TAG = 0x0a0b0c0d;

const [, , command, ...args] = process.argv;
if (command === 'init') {
  const [sourcePort = 0, port = 0] = args.map(Number);
  process.stdout.write(packet(sourcePort, port, 0, chunk(CHUNK.init, initBody(OWN_TAG))));
} else {
  process.stdin.once('data', (data: Buffer) => {
    const received = withoutIpHeader(data);
    process.stdout.write(command === 'answer' ? answer(received, Number(args[0])) : show(received));
    process.stdin.destroy();
  });
}

function answer(received: Buffer, tag: number): Buffer {
  const [from, to] = [received.readUInt16BE(0), received.readUInt16BE(2)];
  const body = received.subarray(HEADER + 4);
  switch (received[HEADER]) {
    case CHUNK.init: {
      // The cookie is all that we remember of the peer.
      const peersTag = body.readUInt32BE(0);
      const cookie = Buffer.from([0, STATE_COOKIE, 0, 8, 0, 0, 0, 0]);
      cookie.writeUInt32BE(peersTag, 4);
      const reply = chunk(CHUNK.initAck, Buffer.concat([initBody(tag), cookie]));
      return packet(to, from, peersTag, reply);
    }
    case CHUNK.cookieEcho:
      return packet(to, from, body.readUInt32BE(0), chunk(CHUNK.cookieAck, Buffer.alloc(0)));
    default:
      return Buffer.alloc(0);
  }
}

function show(received: Buffer): string {
  const intact = checksum(received) === received.readUInt32LE(8);
  const type = received[HEADER];
  const tag = received.readUInt32BE(HEADER + 4);
  return `${JSON.stringify({ type, sourcePort: received.readUInt16BE(0), tag, intact })}\n`;
}

function initBody(tag: number): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32BE(tag, 0);
  body.writeUInt32BE(65_535, 4);
  body.writeUInt16BE(1, 8);
  body.writeUInt16BE(1, 10);
  body.writeUInt32BE(1, 12);
  return body;
}

function chunk(type: number, body: Buffer): Buffer {
  const head = Buffer.from([type, 0, 0, 0]);
  head.writeUInt16BE(4 + body.length, 2);
  return Buffer.concat([head, body]);
}

function packet(sourcePort: number, port: number, verificationTag: number, content: Buffer): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt32BE(verificationTag, 4);
  const whole = Buffer.concat([header, content]);
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
