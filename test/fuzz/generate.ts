import type { Random } from '../chaos/random.ts';
import { hostile } from './hostile.ts';

// biome-ignore lint/suspicious/noExplicitAny: JSON schemas have no shape of their own.
type Schema = any;

/** Ids that the API has given out, by the kind of object. */
export type Known = Map<string, string[]>;

/** Makes values that fit a JSON schema, and spoils some of them. */
export class Generator {
  readonly #random: Random;
  readonly #known: Known;
  readonly #definitions: Schema;
  #careful = false;

  constructor(random: Random, known: Known, document: Schema) {
    this.#random = random;
    this.#known = known;
    this.#definitions = document;
  }

  chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return this.#random.pick(from);
  }

  /** A value as a careful client makes it: what is mandatory, a little more, nothing spoilt. Or as a careless one does. */
  body(schema: Schema): unknown {
    this.#careful = this.chance(0.5);
    const body = this.value(schema);
    this.#careful = false;
    return body;
  }

  /** A value for an attribute called `name`. */
  value(schema: Schema, name = '', depth = 0): unknown {
    if (!this.#careful && this.chance(depth === 0 ? 0 : 0.015)) return this.pick(hostile);
    if (schema.$ref !== undefined) {
      const path = (schema.$ref as string).split('/').slice(1);
      return this.value(
        path.reduce((at, key) => at[key], this.#definitions),
        name,
        depth,
      );
    }
    if (schema.const !== undefined) return schema.const;
    if (schema.enum !== undefined) return this.pick(schema.enum);
    const alternatives = schema.anyOf ?? schema.oneOf;
    if (alternatives !== undefined) return this.value(this.pick(alternatives), name, depth);
    const type = Array.isArray(schema.type) ? this.pick(schema.type) : schema.type;
    switch (type) {
      case 'object':
        return this.#object(schema, depth);
      case 'array': {
        const length = Math.floor(this.#random.between(0, 3));
        return Array.from({ length }, () => this.value(schema.items ?? {}, name, depth + 1));
      }
      case 'integer':
      case 'number':
        return this.#number(schema);
      case 'boolean':
        return this.chance(0.5);
      case 'null':
        return null;
      case 'string':
        return this.text(name, schema.format);
      default:
        return this.pick(hostile);
    }
  }

  /** Text that an attribute of that name may well hold. */
  text(name: string, format?: string): string {
    const kind = /^(.*)_id$/.exec(name)?.[1] ?? '';
    const ids =
      this.#known.get(kind.replace(/^(default|redirect)_/, '').replace(/^policy$/, 'l7policy')) ?? [];
    if (ids.length > 0 && this.chance(0.9)) return this.pick(ids);
    if (format === 'uuid') return this.uuid();
    if (/address|_ip$/.test(name)) return this.pick(['10.0.0.1', '10.0.0.2', '2001:db8::1', '192.0.2.9']);
    if (/cidr/.test(name)) return this.pick(['10.0.0.0/8', '0.0.0.0/0', '2001:db8::/32']);
    if (/_data$/.test(name))
      return this.pick(['{}', '{"sriov_vip": true}', '{"compute_zone": "nova"}', '[', '{"x": 1}']);
    if (/url|prefix/.test(name))
      return this.pick(['http://example.com/', '/health', 'https://a.example/b?c=d']);
    if (/provider/.test(name)) return this.pick(['amphora', 'octavia', '']);
    if (/_ref$|_refs$/.test(name)) return 'http://127.0.0.1/v1/secrets/none';
    return this.pick(['a', 'b', 'web', '200', 'true', 'a-b_c', this.uuid().slice(0, 6)]);
  }

  uuid(): string {
    const hex = Array.from({ length: 32 }, () => Math.floor(this.#random.between(0, 16)).toString(16)).join(
      '',
    );
    return [0, 8, 12, 16, 20].map((from, index, all) => hex.slice(from, all[index + 1])).join('-');
  }

  #object(schema: Schema, depth: number): Record<string, unknown> {
    const required: string[] = schema.required ?? [];
    const object: Record<string, unknown> = {};
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const optional = this.#careful ? 0.03 : 0.3 / (1 + depth / 4);
      const mandatory = this.#careful ? 1 : 0.985;
      const usual = depth === 1 && name === 'vip_subnet_id' ? 0.97 : optional;
      const wanted = required.includes(name) ? mandatory : usual;
      if (this.chance(wanted)) object[name] = this.value(property, name, depth + 1);
    }
    if (typeof schema.additionalProperties === 'object' && this.chance(0.5))
      object[this.pick(['X-Forwarded-For', 'X-Forwarded-Port', 'a'])] = this.pick(['true', 'false', 'x']);
    if (!this.#careful && depth > 0 && this.chance(0.01))
      object[this.pick(['id', 'x', '__proto__', ''])] = this.pick(hostile);
    return object;
  }

  #number({ minimum = 0, maximum = 100, type }: Schema): number {
    const low = Math.max(minimum, -1_000_000);
    const high = this.chance(0.8) ? Math.min(maximum, low + 100) : maximum;
    const number = this.#random.between(low, high);
    return type === 'integer' ? Math.floor(number) : number;
  }
}
