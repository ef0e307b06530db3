/** A row of text: pieces of which the soft ones matter less. */
export type Row = { text: string; soft: boolean }[];

// How much room a text takes is not known where pictures are made: it is estimated for the widest of the usual fonts.

export const ROW_HEIGHT = 16;
const MONO_WIDTH = 6.65;
const TITLE_WIDTH = 8.4;

/** A text and its condition, in rows of at most so many characters; a condition that does not fit begins a row. */
export function rowsOf(text: string, condition: string, limit: number): Row[] {
  const pieces = [
    { text, soft: false },
    { text: condition, soft: true },
  ].filter((piece) => piece.text !== '');
  if (lengthOf(pieces) <= limit) return [pieces];
  return pieces.flatMap(({ text, soft }) => wrapped(text, limit).map((line) => [{ text: line, soft }]));
}

function wrapped(text: string, limit: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > limit) lines.push(word);
    else lines.splice(-1, 1, `${line} ${word}`);
  }
  return lines;
}

/** Width of a row of 11 px in a font of fixed width, in pixels. */
export function rowWidth(row: Row): number {
  return Math.ceil(lengthOf(row) * MONO_WIDTH);
}

/** Width of a title of 14 px, in pixels. */
export function titleWidth(text: string): number {
  return Math.ceil(text.length * TITLE_WIDTH);
}

/** Pieces are a space apart. */
function lengthOf(row: Row): number {
  return row.reduce((length, { text }) => length + text.length + 1, -1);
}
