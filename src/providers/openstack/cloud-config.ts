/**
 * User data that makes cloud-init write files, readable by root only. JSON is YAML, so that no content can become
 * structure.
 * @param files absolute path -> content
 */
export function cloudConfig(files: Record<string, string>): string {
  const write_files = Object.entries(files).map(([path, content]) => ({
    path,
    owner: 'root:root',
    permissions: '0600',
    encoding: 'b64',
    content: Buffer.from(content).toString('base64'),
  }));
  return `#cloud-config\n${JSON.stringify({ write_files })}\n`;
}
