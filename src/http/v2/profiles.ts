import { Hono } from 'hono';
import type * as z from 'zod';
import type { ProfileReferences } from '../../providers/profiles.ts';
import type { Queryable } from '../../store/database.ts';
import { isForeignKeyViolation } from '../../store/database-errors.ts';
import { ProfileDataError } from '../../store/profile-data.ts';
import type { Database } from '../../store/schema.ts';
import type { Api } from '../api.ts';
import { mandatory, Name, text } from '../attributes.ts';
import { readBody } from '../body.ts';
import { conflict, invalidInput } from '../fault.ts';
import { newId } from '../idempotency.ts';
import { checkReferences } from '../profile-references.ts';
import { answerList, answerOne, answerShow, findRow, type OctaviaResource, pathId } from '../resource.ts';

/** The attributes of a profile besides its data. */
export const profileAttributes = { name: mandatory(Name.min(1)), provider_name: mandatory(Name) };
/** Its data: JSON as text, kept byte for byte. */
export const ProfileData = mandatory(text(4096));

interface Values {
  name: string;
  provider_name: string;
}

/** What tells flavor profiles from those of availability zones. */
export interface ProfileKind<T extends keyof Database, Row extends Values & { id: string }> {
  resource: OctaviaResource<T, Row> & {
    bodies: { post: z.ZodType<Values>; put: z.ZodType<Partial<Values>> };
  };
  /** The attribute that holds its data. */
  data: string & keyof Row;
  /** What its data refers to at the provider. @throws ProfileDataError */
  parse(data: string): ProfileReferences;
  /** What is made from such a profile, with its article. */
  user: string;
  isInUse(db: Queryable, id: string): Promise<boolean>;
  insert(db: Queryable, row: Omit<Row, 'created_at'>): Promise<void>;
  update(db: Queryable, id: string, values: Partial<Row>): Promise<void>;
  remove(db: Queryable, id: string): Promise<void>;
}

/** The routes of profiles of one kind (contract A17). One that is in use can be renamed, and no more. */
export function profileRoutes<T extends keyof Database, Row extends Values & { id: string }>(
  api: Api,
  kind: ProfileKind<T, Row>,
): Hono {
  const { db, config } = api;
  const { resource } = kind;
  const routes = new Hono();

  const inUse = (id: string) =>
    conflict(`${resource.title} ${id} is in use by ${kind.user} and cannot be changed or deleted.`);

  const check = async (profile: Row) => {
    const { provider_name: provider, [kind.data]: data } = profile;
    if (!config.enabled_providers.includes(provider)) {
      const names = config.enabled_providers.join(', ');
      throw invalidInput('provider_name', provider, `Value should be one of: ${names}`);
    }
    const refuse = (reason: string) => invalidInput(kind.data, data, reason);
    try {
      await checkReferences(api, kind.parse(String(data)), refuse);
    } catch (error) {
      throw error instanceof ProfileDataError && error.reason === 'not_json' ? refuse(error.message) : error;
    }
  };

  routes.get('/', (context) => answerList(context, db, resource));
  routes.get('/:id', (context) => answerShow(context, db, resource));

  routes.post('/', async (context) => {
    const body = await readBody(context, resource.root, resource.bodies.post);
    const row = { ...body, id: newId(context) } as Row;
    await check(row);
    await kind.insert(db, row);
    return answerOne(context, resource, await findRow(db, resource, row.id), 201);
  });

  routes.put('/:id', async (context) => {
    const stored = await findRow(db, resource, pathId(context, resource.title));
    const body = (await readBody(context, resource.root, resource.bodies.put)) as Partial<Row>;
    await check({ ...stored, ...body });
    const meaning = body.provider_name !== undefined || body[kind.data] !== undefined;
    if (meaning && (await kind.isInUse(db, stored.id))) throw inUse(stored.id);
    await kind.update(db, stored.id, body);
    return answerOne(context, resource, await findRow(db, resource, stored.id));
  });

  routes.delete('/:id', async (context) => {
    const { id } = await findRow(db, resource, pathId(context, resource.title));
    try {
      await kind.remove(db, id);
    } catch (error) {
      throw isForeignKeyViolation(error) ? inUse(id) : error;
    }
    return context.body(null, 204);
  });

  return routes;
}
