import type { EffectInput, EffectOutput } from '../machines/effects.ts';
import type { EffectContext } from '../model/effect.ts';
import { AmphoraeError, type ErrorRecord, TerminalError, TransientError } from '../model/errors.ts';
import { findAmphora } from '../store/amphorae.ts';
import type { EffectDependencies } from './dependencies.ts';

const NO_REASON: ErrorRecord = { kind: 'terminal', code: 'server_failed', message: 'no reason given' };

/** One look at the server and its agent; tried again until both are there or the boot deadline passes. */
export function awaitAgent({ db, provider }: EffectDependencies) {
  return async (
    reference: EffectInput<'awaitAgent'>,
    context: EffectContext,
  ): Promise<EffectOutput<'awaitAgent'>> => {
    const amphora = await findAmphora(db, reference.amphoraId);
    if (!amphora)
      throw new TerminalError('not_found', `amphora ${reference.amphoraId} does not exist any more`);
    const server = amphora.compute_id && (await provider.compute.status(amphora.compute_id, context));
    if (!server)
      throw new TerminalError(
        'server_lost',
        `the server of amphora ${amphora.id} disappeared while it booted`,
      );
    if (server.state === 'ERROR') {
      const { kind, code, message } = server.fault ?? NO_REASON;
      throw new AmphoraeError(kind, code, `the server of amphora ${amphora.id} failed to start: ${message}`);
    }
    if (server.state === 'BUILD' || !server.managementAddress) {
      throw new TransientError('server_building', `the server of amphora ${amphora.id} is being built`);
    }
    await provider.agent.info({
      amphoraId: amphora.id,
      address: server.managementAddress,
      epoch: context.epoch,
      signal: context.signal,
    });
    return { managementAddress: server.managementAddress };
  };
}
