/** Reads the documents of this repository: their code blocks, headings, links, and words written as code. */
import { globSync, readFileSync } from 'node:fs';

export interface Fence {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  /** The words after the language. They say how a test checks the block; see `fences.ts`. */
  readonly kind: string;
  readonly code: string;
}

export interface Document {
  readonly path: string;
  /** The text without its code blocks. */
  readonly prose: string;
  readonly fences: readonly Fence[];
}

export const DOCUMENTS: readonly Document[] = globSync([
  '*.md',
  'docs/*.md',
  '{lib,test_resources}/**/README.md',
]).map(readDocument);

function readDocument(path: string): Document {
  const prose: string[] = [];
  const fences: Fence[] = [];
  const lines = readFileSync(path, 'utf8').split('\n');
  for (let at = 0; at < lines.length; at++) {
    const opening = /^(\s*)```(\S*) ?(.*)$/.exec(lines[at] ?? '');
    if (!opening) {
      prose.push(lines[at] ?? '');
      continue;
    }
    const [, indent = '', language = '', kind = ''] = opening;
    const end = lines.indexOf(`${indent}\`\`\``, at + 1);
    if (end < 0) throw new RangeError(`${path}:${at + 1}: a code block is not closed`);
    const code = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
    fences.push({ document: path, line: at + 1, language, kind, code: `${code.join('\n')}\n` });
    at = end;
  }
  return { path, prose: prose.join('\n'), fences };
}

/** The anchors that GitHub makes of the headings. */
export function anchorsOf({ prose }: Document): Set<string> {
  const seen = new Map<string, number>();
  const anchors = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = text.replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return times === 0 ? anchor : `${anchor}-${times}`;
  });
  return new Set(anchors);
}

/** Targets of links and pictures. */
export function linksOf({ prose }: Document): string[] {
  const withoutCode = prose.replaceAll(/`[^`\n]+`/g, '`code`');
  return [...withoutCode.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** Words and phrases between backticks. */
export function codeWordsOf({ prose }: Document): string[] {
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}
