// How much room a text takes is not known where pictures are made: it is estimated for the widest of the usual fonts.

export const LINE_HEIGHT = 16;
const MONO_WIDTH = 6.65;
const TITLE_WIDTH = 8.4;

/** Width of a text of 11 px in a font of fixed width, in pixels. */
export function monoWidth(text: string): number {
  return Math.ceil(text.length * MONO_WIDTH);
}

/** Width of a title of 14 px, in pixels. */
export function titleWidth(text: string): number {
  return Math.ceil(text.length * TITLE_WIDTH);
}
