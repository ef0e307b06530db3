import { Agent } from 'undici';
import type { ServiceAccount } from './account.ts';

/** Connections that trust what the account's settings say. */
export const connectionsOf = ({ ca }: ServiceAccount): Agent =>
  new Agent({ connect: ca === undefined ? {} : { ca } });
