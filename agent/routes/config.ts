import type { Route } from '../app.ts';
import { AgentError } from '../errors.ts';
import { writeAtomically } from '../files.ts';
import { type AgentSettings, parseSettings } from '../settings.ts';
import { OK } from './body.ts';

export interface ConfigParts {
  /** Where the settings are kept for the next start. */
  path: string;
  amphoraId: string;
  /** Use at once what can be changed while the agent runs. */
  apply(settings: AgentSettings): void;
}

/** The agent's own settings (contract D2), as JSON or as Octavia writes them. */
export function configRoutes({ path, amphoraId, apply }: ConfigParts): Route[] {
  return [
    [
      'PUT',
      '/1.0/config',
      async (context) => {
        const text = await context.req.text();
        const settings = check(text, amphoraId);
        await writeAtomically(path, text);
        apply(settings);
        return context.json(OK, 202);
      },
    ],
  ];
}

function check(text: string, amphoraId: string): AgentSettings {
  try {
    const settings = parseSettings(text, 'body');
    if (settings.amphora_id === amphoraId) return settings;
  } catch (error) {
    throw new AgentError(400, 'Invalid request', { details: (error as Error).message, cause: error });
  }
  throw new AgentError(400, 'Invalid request', { details: `body: amphora_id: this is amphora ${amphoraId}` });
}
