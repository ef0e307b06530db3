import type { AmphoraNode, LoadBalancerGraph } from '../model/graph.ts';

/** Of more amphorae, the firewall reads the load balancer itself. */
const MOST = 100;

/** A load balancer as it was read, and the amphora in it. */
export interface AmphoraInGraph {
  graph: LoadBalancerGraph;
  amphora: AmphoraNode;
}

/**
 * What amphorae have just been configured with, for their firewalls, which follow in the next step: so both are made from
 * the same rows, and these are read once.
 */
export class Configured {
  readonly #graphs = new Map<string, AmphoraInGraph & { epoch: number }>();

  note(epoch: number, { graph, amphora }: AmphoraInGraph): void {
    this.#graphs.delete(amphora.id);
    this.#graphs.set(amphora.id, { graph, amphora, epoch });
    const [oldest] = this.#graphs.keys();
    if (oldest !== undefined && this.#graphs.size > MOST) this.#graphs.delete(oldest);
  }

  /** Once: who tries again reads again. Under another epoch, another node may have configured the amphora since. */
  take(amphoraId: string, epoch: number): AmphoraInGraph | undefined {
    const noted = this.#graphs.get(amphoraId);
    this.#graphs.delete(amphoraId);
    return noted?.epoch === epoch ? noted : undefined;
  }
}
