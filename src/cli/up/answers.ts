import { request } from 'undici';

/** true once something at `url` answers HTTP; undefined while it answers that it cannot. Rejects when nothing does. */
export async function answers(url: string): Promise<true | undefined> {
  const { statusCode, body } = await request(url, { headersTimeout: 2_000, bodyTimeout: 2_000 });
  await body.dump();
  return statusCode < 500 ? true : undefined;
}
