import type { Effects } from '../../src/machines/effects.ts';

/** Effects of which one is never done, but heeds its cancellation. */
export function hanging(name: keyof Effects) {
  return (effects: Effects): Effects => ({
    ...effects,
    [name]: {
      ...effects[name],
      run: (_: never, { signal }: { signal: AbortSignal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    },
  });
}
