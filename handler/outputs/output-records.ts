import type { JsonText } from '../../lib/json.ts';
import type { OutputRecord } from './artifact.ts';
import { ALL_SAVED, type OutputChoice } from './output-choice.ts';

export interface NodeRecords {
  readonly records: readonly OutputRecord[];
  readonly problems: readonly string[];
}

/** The files one node shows: its images, then what stands under other keys. A file shown twice comes once. */
export function recordsOf(
  nodeId: string,
  output: JsonText,
  choice: OutputChoice = ALL_SAVED,
): NodeRecords {
  if (!choice.isWanted(nodeId)) return { records: [], problems: [] };
  const images = imagesOf(nodeId, output, choice);
  const seen = new Set(images.records.map(placeOf));
  const others = otherFilesOf(nodeId, output, choice).filter((record) => {
    const isNew = !seen.has(placeOf(record));
    seen.add(placeOf(record));
    return isNew;
  });
  return { records: [...images.records, ...others], problems: images.problems };
}

/** What names a file in ComfyUI. */
export function placeOf({ type, subfolder, filename }: OutputRecord): string {
  return JSON.stringify([type, subfolder, filename]);
}

/** An entry that makes no sense costs only itself, and is told: something was to be an image. */
function imagesOf(nodeId: string, output: JsonText, { includeTemp }: OutputChoice): NodeRecords {
  const records: OutputRecord[] = [];
  const problems: string[] = [];
  for (const entry of output.get('images')?.items() ?? []) {
    const type = textAt(entry, 'type') ?? 'output';
    if (type === 'temp' && !includeTemp) continue;
    const filename = textAt(entry, 'filename');
    if (filename) records.push(toRecord({ nodeId, key: 'images', filename, type }, entry));
    else
      problems.push(
        `Skipping image in node ${nodeId} due to missing filename: ${shorten(entry.text)}`,
      );
  }
  return { records, problems };
}

/** Custom nodes show all kinds of things under keys of their own; a file is what says its name and its folder. */
function otherFilesOf(
  nodeId: string,
  output: JsonText,
  { includeTemp }: OutputChoice,
): OutputRecord[] {
  const others = output.entries().filter(([key]) => key !== 'images');
  return others.flatMap(([key, shown]) =>
    objectsIn(shown, NESTING).flatMap((entry) => {
      const filename = textAt(entry, 'filename');
      const type = textAt(entry, 'type') ?? '';
      const isFile = FOLDERS.has(type) && (type !== 'temp' || includeTemp);
      return filename && isFile ? [toRecord({ nodeId, key, filename, type }, entry)] : [];
    }),
  );
}

function objectsIn(shown: JsonText, depth: number): JsonText[] {
  if (shown.get('filename')) return [shown];
  if (depth === 0) return [];
  const inside = [...shown.items(), ...shown.entries().map(([, member]) => member)];
  return inside.flatMap((part) => objectsIn(part, depth - 1));
}

function toRecord(named: Omit<OutputRecord, 'subfolder'>, entry: JsonText): OutputRecord {
  return { ...named, subfolder: textAt(entry, 'subfolder') ?? '' };
}

function textAt(entry: JsonText, key: string): string | undefined {
  const member = entry.get(key);
  return member?.kind === 'string' ? String(member.value()) : undefined;
}

function shorten(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}

/** The folders `/view` knows (`folder_paths.py`, `get_directory_by_type`). */
const FOLDERS: ReadonlySet<string> = new Set(['output', 'input', 'temp']);

/** Lists are usual; `[{"files": [{...}]}]` is as deep as nodes have been seen to go. */
const NESTING = 3;
