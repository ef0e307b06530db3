import { isIP } from 'node:net';
import * as z from 'zod';
import { canonicalCidr } from './ip.ts';

/**
 * The attribute types of request bodies (contract A3). A resource lists each attribute once, with `attribute`, and
 * derives the schemas of its POST and its PUT from that.
 */

/** Text of at most `max` characters that PostgreSQL can store: no NUL, no half of a surrogate pair. */
export function text(max: number) {
  return z
    .string()
    .max(max)
    .refine(
      (value) => value.isWellFormed() && !value.includes('\0'),
      'Value should be Unicode text without NUL',
    );
}

/** A number that may be written as a decimal string. */
export function numeric<T extends z.ZodType>(schema: T) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^[+-]?\d{1,15}$/.test(value) ? Number(value) : value),
    schema,
  );
}

/** An integer, as a JSON number or a decimal string. */
export function integer(min: number, max = 2_147_483_647) {
  return numeric(z.int().min(min).max(max));
}

const booleans = new Map<unknown, boolean>([
  ...[true, 1, 'true', 'yes', 'on', 't', 'y', '1'].map((value) => [value, true] as const),
  ...[false, 0, 'false', 'no', 'off', 'f', 'n', '0'].map((value) => [value, false] as const),
]);

export const Flag = z.preprocess((value) => booleans.get(value) ?? value, z.boolean());
export const Name = text(255);
export const Uuid = z.guid().transform((value) => value.toLowerCase());
export const Tags = z.array(text(255));
export const Port = integer(1, 65_535);
/** Kept as given: neither case nor zeros are normalised. */
export const Ip = z
  .string()
  .refine((value) => isIP(value) !== 0 && !value.includes('%'), 'Value should be IPv4 or IPv6 format');
export const Cidr = z.string().transform((value, context) => {
  const canonical = canonicalCidr(value);
  if (canonical !== undefined) return canonical;
  context.addIssue({ code: 'custom', message: 'Value should be IPv4 or IPv6 CIDR format' });
  return z.NEVER;
});

/** A mutable attribute: optional in a POST; in a PUT absent means untouched and null means the default again. */
export function attribute<T extends z.ZodType, D extends z.output<T> | null>(schema: T, fallback: D) {
  const orDefault = (value: z.output<T> | null | undefined): z.output<T> | D => value ?? fallback;
  return {
    post: schema.nullish().transform(orDefault),
    put: schema.nullable().transform(orDefault).exactOptional(),
  };
}

/** An attribute that has no default: mandatory in a POST, not null in a PUT. */
export function mandatory<T extends z.ZodType>(schema: T) {
  return { post: schema, put: schema.exactOptional() };
}

type Attributes = Record<string, { post: z.ZodType; put: z.ZodType }>;

/** The POST half of mutable attributes, to spread into a schema. */
export function onPost<A extends Attributes>(attributes: A): { [K in keyof A]: A[K]['post'] } {
  return pick(attributes, 'post');
}

/** The PUT half of mutable attributes. */
export function onPut<A extends Attributes>(attributes: A): { [K in keyof A]: A[K]['put'] } {
  return pick(attributes, 'put');
}

function pick<A extends Attributes, H extends 'post' | 'put'>(attributes: A, half: H) {
  return Object.fromEntries(Object.entries(attributes).map(([name, halves]) => [name, halves[half]])) as {
    [K in keyof A]: A[K][H];
  };
}

/** An attribute that only a POST takes and that may be left out or null. */
export function optional<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? null);
}

/** What every object has (contract A7, A9 to A12). */
export const common = {
  name: attribute(Name, ''),
  admin_state_up: attribute(Flag, true),
  tags: attribute(Tags, []),
};
export const described = { ...common, description: attribute(Name, '') };

/** `tenant_id` is the old spelling of `project_id`; for children both are accepted and ignored. */
export const project = { project_id: optional(text(36)), tenant_id: optional(text(36)) };

/** A request body without the two spellings of the project. */
export function withoutProject<T extends { project_id: string | null; tenant_id: string | null }>(
  body: T,
): Omit<T, 'project_id' | 'tenant_id'> {
  const { project_id, tenant_id, ...own } = body;
  return own;
}
