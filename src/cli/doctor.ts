import type { Config } from '../config.ts';
import type { Command } from './command.ts';
import type { Finding } from './doctor/check.ts';
import { checkDatabase, checkPlace, checkProcess, checkSriov } from './doctor/host.ts';
import { checkKernel } from './doctor/kernel.ts';
import { checkOpenstack } from './doctor/openstack.ts';
import { checkPrograms } from './doctor/programs.ts';

export const command: Command = {
  description:
    'Checks everything that `up` needs, one line each, and says how to fix what is missing. Changes nothing.',
  settings: ['provider', 'listen', 'data_dir', 'database_url', 'nats_url'],
  options: { json: { type: 'boolean', description: 'Print the findings as JSON.' } },
  async run({ config, options }) {
    const findings = await examine(config);
    process.stdout.write(
      options.json ? `${JSON.stringify(findings, null, 2)}\n` : findings.map(lineOf).join(''),
    );
    return findings.some(({ level }) => level === 'fail') ? 1 : 0;
  },
};

async function examine(config: Config): Promise<Finding[]> {
  const netns = config.provider === 'netns';
  return [
    ...checkProcess({ netns }),
    ...(await checkPrograms({ netns, privateNats: !config.nats_url })),
    await checkDatabase(config),
    ...(netns ? await checkKernel() : []),
    ...(await checkPlace(config)),
    ...(netns ? [checkSriov()] : []),
    ...(config.provider === 'openstack' ? await checkOpenstack(config) : []),
  ];
}

function lineOf({ level, name, detail, fix }: Finding): string {
  return `${level.padEnd(4)} ${name}: ${detail}\n${fix ? `     -> ${fix}\n` : ''}`;
}
