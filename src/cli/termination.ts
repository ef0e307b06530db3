/**
 * Aborted when somebody asks this process to end (SIGINT, SIGTERM). Who asks again does not want to wait: by default
 * the process exits at once.
 */
export function terminationSignal(again: () => void = () => process.exit(1)): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => (controller.signal.aborted ? again() : controller.abort());
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return controller.signal;
}

/** Resolves when `signal` is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
