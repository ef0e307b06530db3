import { parentPort, workerData } from 'node:worker_threads';
import Elk from 'elkjs/lib/elk.bundled.js';

// A thread of its own: elkjs works for some hundred milliseconds without a pause, in which a controller must not stand still.
const elk = new Elk.default();
parentPort?.postMessage(await elk.layout(workerData));
