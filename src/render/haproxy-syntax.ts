/** A section of haproxy.cfg; lines that are not there are left out. */
export function section(head: string, lines: (string | false | undefined)[]): string {
  return [head, ...lines.filter((line) => typeof line === 'string').map((line) => `    ${line}`)].join('\n');
}

/** One line: its parts with a space between, those that are not there left out. */
export function line(...parts: (string | false | undefined)[]): string {
  return parts.filter((part) => typeof part === 'string' && part !== '').join(' ');
}

/**
 * A word that haproxy takes as it is. Single quotes are its strong quoting: nothing inside has a meaning but the end of
 * the line and the quote itself, which are written outside.
 */
export function quote(text: string): string {
  return `'${text.replace(/['[\p{ASCII}&&\p{Cc}]]/gv, outside)}'`;
}

/** A word in which haproxy would expand `%`, such as the target of a redirect. */
export function quoteFormat(text: string): string {
  return quote(text.replaceAll('%', '%%'));
}

/** A sample such as `req.hdr(name)`: what is in parentheses is read, and quoted, once more. */
export function sample(fetch: string, argument: string): string {
  return /^[\w.-]+$/.test(argument) ? `${fetch}(${argument})` : quote(`${fetch}(${quote(argument)})`);
}

/** An address in brackets if it needs them: the last part of an IPv6 address could be a port. */
export function host(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

export function endpoint(address: string, port: number): string {
  return `${host(address)}:${port}`;
}

function outside(character: string): string {
  return character === "'" ? `'"'"'` : `'\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}'`;
}
