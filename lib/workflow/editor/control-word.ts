import type { JsonText } from '../../json.ts';

/** What the editor does with a value after a run. It is saved behind the value, as a widget without an input. */
export function isControlWord(value: JsonText | undefined): boolean {
  return value?.kind === 'string' && WORDS.has(String(value.value()));
}

const WORDS: ReadonlySet<string> = new Set([
  'fixed',
  'increment',
  'decrement',
  'randomize',
  'increment-wrap',
]);
