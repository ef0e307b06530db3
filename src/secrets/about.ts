import { AmphoraeError } from '../model/errors.ts';

/** Run what concerns one secret; an error says which. */
export async function aboutSecret<T>(ref: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AmphoraeError) error.message = `secret ${ref}: ${error.message}`;
    throw error;
  }
}
