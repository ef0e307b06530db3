import { parse } from 'yaml';
import * as z from 'zod';

const Text = z.union([z.string(), z.number().transform(String)]).optional();

/** The part of `clouds.yaml` that names an account and where its services are (openstacksdk, "Configuration"). */
const CloudsFile = z.object({
  clouds: z.record(
    z.string(),
    z.object({
      auth: z.record(z.string(), z.unknown()).default({}),
      region_name: Text,
      interface: Text,
      cacert: Text,
    }),
  ),
});

/** Keys below `auth` that we understand; each is the setting `os_<key>`. */
const AUTH_KEYS = [
  ...['auth_url', 'username', 'user_id', 'password', 'user_domain_name', 'user_domain_id'],
  ...['project_name', 'project_id', 'project_domain_name', 'project_domain_id'],
  ...['application_credential_id', 'application_credential_secret'],
];

/**
 * The settings `os_*` that a cloud of a `clouds.yaml` stands for.
 * @throws Error that says what is wrong with the text, or which clouds there are
 */
export function settingsOfCloud(text: string, name: string): Record<string, string> {
  const parsed = CloudsFile.safeParse(parse(text));
  if (!parsed.success) throw new Error(parsed.error.issues[0]?.message);
  const cloud = parsed.data.clouds[name];
  if (!cloud) throw new Error(`no cloud ${name}, only ${Object.keys(parsed.data.clouds).join(', ')}`);
  const { auth, region_name, interface: facing, cacert } = cloud;
  const given = Object.entries({
    ...Object.fromEntries(AUTH_KEYS.map((key) => [`os_${key}`, Text.parse(auth[key])])),
    os_region_name: region_name,
    os_interface: facing,
    os_cacert: cacert,
  });
  return Object.fromEntries(given.filter((entry): entry is [string, string] => entry[1] !== undefined));
}
