import { connect } from 'node:net';

// Asks every ADDRESS:PORT of its arguments over and over by HTTP, each time by a new connection. Says "ready" when all have
// answered once. At the end of standard input it waits for one more answer of each, and prints the longest time without
// an answer, in milliseconds: {"192.0.2.7": 312, ...}.

const INTERVAL_MS = 10;
/** A question that is lost counts as lost soon: the kernel would repeat it only after a second. */
const ANSWER_MS = 100;

interface Target {
  host: string;
  port: number;
  lastAnswer: number | undefined;
  longestGap: number;
}

const targets: Target[] = process.argv.slice(2).map((argument) => {
  const [, host = '', port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(argument) ?? [];
  return { host, port: Number(port), lastAnswer: undefined, longestGap: 0 };
});
let endedAt: number | undefined;
process.stdin.on('end', () => {
  endedAt = performance.now();
});
process.stdin.resume();

await Promise.all(targets.map(keepAsking));
process.stdout.write(
  `${JSON.stringify(Object.fromEntries(targets.map(({ host, longestGap }) => [host, longestGap])))}\n`,
);

async function keepAsking(target: Target): Promise<void> {
  for (;;) {
    const asked = performance.now();
    if (await answers(target)) {
      const now = performance.now();
      target.longestGap = Math.max(target.longestGap, Math.round(now - (target.lastAnswer ?? now)));
      const first = target.lastAnswer === undefined;
      target.lastAnswer = now;
      if (first && targets.every(({ lastAnswer }) => lastAnswer !== undefined))
        process.stdout.write('ready\n');
      if (endedAt !== undefined && asked > endedAt) return;
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

function answers({ host, port }: Target): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (answered: boolean) => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(answered);
    };
    const deadline = setTimeout(() => finish(false), ANSWER_MS);
    socket.once('connect', () => socket.write(`GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
    socket.once('data', (data) => finish(data.toString('latin1', 9, 12) === '200'));
    socket.once('error', () => finish(false));
    socket.once('end', () => finish(false));
  });
}
