import { styleText } from 'node:util';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Tells what a step is doing right now; on a terminal, the last word is shown while it runs. */
export type Note = (text: string) => void;

/** Shows steps with the time that each took: live on a terminal, one plain line each elsewhere. */
export class Progress {
  readonly #out: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Show `title` while `work` runs, then its time and what `describe` says of its result. */
  async step<T>(
    title: string,
    work: (note: Note) => Promise<T>,
    describe: (result: T) => string,
  ): Promise<T> {
    const startedAt = performance.now();
    const seconds = () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`.padStart(7);
    const label = title.padEnd(22);
    let note = '';
    let frame = 0;
    const draw = () => {
      frame += 1;
      this.#redraw(
        `${this.#style('cyan', FRAMES[frame % FRAMES.length] ?? '')} ${seconds()}  ${label}${note}`,
      );
    };
    const timer = this.#out.isTTY ? setInterval(draw, 80) : undefined;
    const finish = (mark: string, text: string) => {
      clearInterval(timer);
      this.#redraw(`${mark} ${seconds()}  ${label}${text}`.trimEnd());
      this.#out.write('\n');
    };
    try {
      const result = await work((text) => {
        note = text;
      });
      finish(this.#style('green', '✔'), describe(result));
      return result;
    } catch (error) {
      finish(this.#style('red', '✘'), 'failed');
      throw error;
    }
  }

  heading(text: string): void {
    this.#out.write(`\n${this.#style('bold', text)}\n`);
  }

  line(text: string): void {
    this.#out.write(`${text}\n`);
  }

  #redraw(line: string): void {
    this.#out.write(this.#out.isTTY ? `\r\x1b[K${line}` : line);
  }

  #style(format: Parameters<typeof styleText>[0], text: string): string {
    return styleText(format, text, { stream: this.#out });
  }
}
