import { execFile } from 'node:child_process';
import { hostname } from 'node:os';
import type { AmphoraInfo } from '../src/amphora-api/info.ts';
import type { AgentSettings } from './settings.ts';

/** Answers `GET /1.0/info`. The programs are asked once: they change only with the image. */
export class Versions {
  readonly #settings: Pick<AgentSettings, 'haproxy_path' | 'keepalived_path'>;
  #info: Promise<AmphoraInfo> | undefined;

  constructor(settings: Pick<AgentSettings, 'haproxy_path' | 'keepalived_path'>) {
    this.#settings = settings;
  }

  info(): Promise<AmphoraInfo> {
    this.#info ??= this.#ask();
    return this.#info;
  }

  async #ask(): Promise<AmphoraInfo> {
    const [haproxy, keepalived] = await Promise.all([
      version(this.#settings.haproxy_path, /version (\S+)/i),
      version(this.#settings.keepalived_path, /Keepalived v(\S+)/),
    ]);
    return {
      hostname: hostname(),
      haproxy_version: haproxy ?? '',
      api_version: '1.0',
      keepalived_version: keepalived ?? null,
      ipvsadm_version: null,
    };
  }
}

/** What `FILE -v` says, wherever it says it (keepalived: standard error); undefined when it cannot run. */
function version(file: string, pattern: RegExp): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(file, ['-v'], { timeout: 5_000 }, (_error, stdout, stderr) => {
      resolve(pattern.exec(stdout + stderr)?.[1]);
    });
  });
}
