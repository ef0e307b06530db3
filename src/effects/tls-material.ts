import { AmphoraeError } from '../model/errors.ts';
import type { ListenerNode, LoadBalancerGraph } from '../model/graph.ts';
import { haproxyListeners } from '../render/desired.ts';
import { TlsFiles, type TlsReference, tlsReferences } from '../render/tls-files.ts';
import { aboutSecret } from '../secrets/about.ts';
import { authorities, revocationList } from '../secrets/pem.ts';
import type { SecretStore } from '../secrets/secret-store.ts';

export interface TlsMaterial {
  files: TlsFiles;
  /** Id of each listener that cannot be served, with the reason. */
  unreadable: Map<string, string>;
}

/**
 * Read what the listeners of a load balancer refer to, each secret once. One that cannot be read concerns the listeners
 * that need it, and no other (contract F5).
 */
export async function readTlsMaterial(graph: LoadBalancerGraph, secrets: SecretStore): Promise<TlsMaterial> {
  const read = readOnce(secrets, `lbaas://loadbalancers/${graph.id}`);
  const material: TlsMaterial = { files: new TlsFiles(), unreadable: new Map() };
  const readAll = async (listener: ListenerNode) => {
    const references = tlsReferences(graph, listener);
    try {
      const contents = await Promise.all(references.map(read));
      for (const [index, reference] of references.entries())
        material.files.add(reference, contents[index] ?? '');
    } catch (error) {
      if (!(error instanceof AmphoraeError)) throw error;
      material.unreadable.set(listener.id, error.message);
    }
  };
  await Promise.all(haproxyListeners(graph).map(readAll));
  return material;
}

function readOnce(secrets: SecretStore, user: string): (reference: TlsReference) => Promise<string> {
  const contents = new Map<string, Promise<string>>();
  return (reference) => {
    const key = JSON.stringify(reference);
    const content = contents.get(key) ?? readSecret(secrets, reference, user);
    contents.set(key, content);
    return content;
  };
}

/** The text of the file that haproxy is to read. */
async function readSecret(secrets: SecretStore, reference: TlsReference, user: string): Promise<string> {
  const { ref } = reference;
  switch (reference.purpose) {
    case 'certificate': {
      const { certificate, privateKey, intermediates } = await secrets.certificate(ref, user);
      return [certificate, privateKey, ...intermediates].join('');
    }
    case 'authorities': {
      const pem = await secrets.pem(ref);
      return aboutSecret(ref, async () => authorities(pem));
    }
    case 'revocationList': {
      const [list, issuers] = await Promise.all([secrets.pem(ref), secrets.pem(reference.authorities)]);
      return aboutSecret(ref, () => revocationList(list, issuers));
    }
  }
}
