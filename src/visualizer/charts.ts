import type { AnyStateMachine } from 'xstate';
import type { ActorKind } from '../machines/address.ts';
import { amphoraMachine } from '../machines/amphora.ts';
import { loadBalancerMachine } from '../machines/load-balancer.ts';
import { machineVersions } from '../machines/registry.ts';
import { drawingOf } from './drawing.ts';
import { type Layout, layOut } from './layout.ts';
import { type Statechart, statechartOf } from './statechart.ts';
import { chartStyle, type Highlight, svgOf } from './svg.ts';

export type Machines = Record<ActorKind, AnyStateMachine>;

const plain: Machines = { 'load-balancer': loadBalancerMachine, amphora: amphoraMachine };

/** The machines as pictures. A layout is made when a picture is asked for first, and kept. */
export class Charts {
  readonly #machines: Machines;
  readonly #charts = new Map<ActorKind, Statechart>();
  readonly #layouts = new Map<ActorKind, Promise<Layout>>();

  /** @param machines those of the process, with its deadlines; else with the deadlines that they come with. */
  constructor(machines: Machines = plain) {
    this.#machines = machines;
  }

  kinds(): ActorKind[] {
    return Object.keys(this.#machines) as ActorKind[];
  }

  chart(kind: ActorKind): Statechart {
    const chart = this.#charts.get(kind) ?? statechartOf(this.#machines[kind]);
    this.#charts.set(kind, chart);
    return chart;
  }

  version(kind: ActorKind): number {
    return machineVersions[kind];
  }

  machine(kind: ActorKind): AnyStateMachine {
    return this.#machines[kind];
  }

  /** SVG text of a machine for a page that links `chart.css`, with what is marked in it. */
  async picture(kind: ActorKind, highlight: Highlight = {}): Promise<string> {
    return svgOf(await this.#layout(kind), titleOf(kind), highlight);
  }

  /** SVG text of a machine that stands alone. */
  async document(kind: ActorKind): Promise<string> {
    return svgOf(await this.#layout(kind), titleOf(kind), {}, chartStyle);
  }

  #layout(kind: ActorKind): Promise<Layout> {
    const known = this.#layouts.get(kind);
    if (known !== undefined) return known;
    const layout = layOut(drawingOf(this.chart(kind)));
    this.#layouts.set(kind, layout);
    // Who asks next may have more luck.
    layout.catch(() => this.#layouts.delete(kind));
    return layout;
  }
}

function titleOf(kind: ActorKind): string {
  return `Statechart of ${kind}, version ${machineVersions[kind]}`;
}
