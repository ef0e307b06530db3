import { Hono } from 'hono';
import { publicUrl } from './public-url.ts';

/** Dates of the API versions that Octavia has published; the last is the current one (contract A1). */
const updated = [
  '2016-12-11',
  '2018-04-20',
  '2018-07-31',
  '2018-12-18',
  '2018-12-19',
  '2019-01-21',
  '2019-01-25',
  '2018-01-25T12:00',
  '2019-02-12',
  '2019-03-04',
  '2019-03-05',
  '2019-06-24',
  '2019-09-11',
  '2019-09-13',
  '2019-11-10',
  '2020-03-10',
  '2020-03-15',
  '2020-04-29',
  '2020-04-29T01:00',
  '2020-05-12',
  '2020-08-02',
  '2020-09-03',
  '2020-09-04',
  '2020-09-07',
  '2020-10-15',
  '2021-10-02',
  '2022-08-29',
  '2023-05-05',
  '2023-11-08',
  '2024-10-15',
  '2025-02-26',
];

/** `GET /`: what clients look at first. Tempest takes the highest CURRENT version. */
export function discoveryRoutes(): Hono {
  const routes = new Hono();
  routes.get('/', (context) => {
    const href = publicUrl(context, '/v2').href;
    const versions = updated.map((date, minor) => ({
      id: `v2.${minor}`,
      status: minor === updated.length - 1 ? 'CURRENT' : 'SUPPORTED',
      updated: date.includes('T') ? `${date}:00Z` : `${date}T00:00:00Z`,
      links: [{ href, rel: 'self' }],
    }));
    return context.json({ versions });
  });
  return routes;
}
