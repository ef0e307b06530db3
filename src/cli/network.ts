import { isIPv4 } from 'node:net';
import { type Command, type Invocation, UsageError } from './command.ts';
import { operatorClient, urlOption } from './operator-client.ts';
import type { RestClient } from './rest-client.ts';

const PATH = '/v2.0/amphorae/networks';

export const command: Command = {
  usage: 'create NAME --cidr CIDR | list | delete ID',
  description:
    'Networks of the netns provider: Linux bridges to which anyone may attach a veth. Prints the answer as JSON; its\n' +
    'network_id and subnet_id are what load balancers and members refer to.',
  settings: ['listen'],
  options: {
    ...urlOption,
    cidr: {
      type: 'string',
      multiple: true,
      value: 'CIDR',
      description: 'Addresses of the network; once for IPv4, once for IPv6.',
    },
    gateway: {
      type: 'string',
      multiple: true,
      value: 'IP',
      description: 'Gateway of the CIDR of its address family.',
    },
    'vnic-types': {
      type: 'string',
      value: 'TYPES',
      description: 'vNIC types that its ports may have: normal, direct, or both with a comma.',
    },
    'physical-function': {
      type: 'string',
      value: 'NIC',
      description: 'SR-IOV NIC whose VFs are its direct ports.',
    },
    vlan: { type: 'string', value: 'ID', description: 'VLAN of those VFs.' },
    mtu: { type: 'string', value: 'BYTES', description: 'MTU of its ports.' },
  },
  async run({ config, options, positionals }) {
    const api = await operatorClient(config, options);
    const answer = await perform(api, options, positionals);
    if (answer !== undefined) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    return 0;
  },
};

async function perform(api: RestClient, options: Invocation['options'], [verb, argument, ...rest]: string[]) {
  if (rest.length > 0) throw new UsageError(`too many arguments: ${rest.join(' ')}`);
  if (verb === 'list' && argument === undefined)
    return (await api.call<{ networks: object[] }>('GET', PATH)).networks;
  if (verb === 'delete' && argument)
    return api.call<undefined>('DELETE', `${PATH}/${encodeURIComponent(argument)}`);
  if (verb === 'create' && argument) {
    const network = networkOf(argument, options);
    return api.call<object>('POST', PATH, { network });
  }
  throw new UsageError('expected create NAME, list, or delete ID');
}

/** Gateways belong to the CIDR of their address family. What is wrong with the values, the API says. */
function networkOf(name: string, options: Invocation['options']): object {
  const cidrs = texts(options.cidr);
  const gateways = texts(options.gateway);
  if (cidrs.length === 0) throw new UsageError('--cidr CIDR is needed');
  const vnicTypes = texts(options['vnic-types'])[0]?.split(',');
  const [physicalFunction] = texts(options['physical-function']);
  return {
    name,
    cidrs: cidrs.map((cidr) => {
      const gateway = gateways.find((address) => isIPv4(address) === !cidr.includes(':'));
      return { cidr, ...(gateway && { gateway }) };
    }),
    ...(vnicTypes && { vnic_types: vnicTypes }),
    ...(physicalFunction && { physical_function: physicalFunction }),
    ...numberOf('vlan', options),
    ...numberOf('mtu', options),
  };
}

function numberOf(name: string, options: Invocation['options']): Record<string, number> {
  const [text] = texts(options[name]);
  if (text === undefined) return {};
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} must be a number, not ${text}`);
  return { [name]: Number(text) };
}

function texts(value: Invocation['options'][string]): string[] {
  return [value ?? []].flat().map(String);
}
