/** Section -> option -> value, as oslo.config reads a file: `key = value` or `key: value`, comments, continued lines. */
export type Ini = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** @throws Error that names the line */
export function parseIni(text: string): Ini {
  const sections = new Map<string, Map<string, string>>();
  let options: Map<string, string> | undefined;
  let last: string | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || /^[#;]/.test(line)) {
      last = undefined;
      continue;
    }
    const section = /^\[([^\]]+)\]\s*$/.exec(line)?.[1];
    if (section !== undefined) {
      options = sections.get(section) ?? new Map();
      sections.set(section, options);
      last = undefined;
    } else if (/^\s/.test(line) && options && last !== undefined) {
      options.set(last, `${options.get(last)}\n${line.trim()}`);
    } else {
      const [, key, value] = /^\s*([^=:\s][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? [];
      if (!options || key === undefined)
        throw new Error(`line ${index + 1} is neither [section] nor key = value`);
      options.set(key, unquote(value ?? ''));
      last = key;
    }
  }
  return sections;
}

/** Quotes around a whole value protect blanks, and are no part of it. */
function unquote(value: string): string {
  return /^(["'])(.*)\1$/s.exec(value)?.[2] ?? value;
}
