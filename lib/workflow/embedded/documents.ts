import { DamagedFile, type ByteSource, type NamedText } from './byte-source.ts';
import { JsonText } from '../../json.ts';

/** The header of a safetensors file, such as a `.latent`: eight bytes of length, then JSON with `__metadata__`. */
export async function* safetensorsTexts(source: ByteSource): AsyncGenerator<NamedText> {
  const length = Number((await source.bytes(0, 8)).readBigUInt64LE());
  yield* members(await source.bytes(8, length), ['__metadata__']);
}

/** The JSON of a GLB, where ComfyUI writes both into `asset.extras`. */
export async function* glbTexts(source: ByteSource): AsyncGenerator<NamedText> {
  const length = (await source.bytes(12, 8)).readUInt32LE();
  yield* members(await source.bytes(20, length), ['asset', 'extras']);
}

/** The first `<metadata>` of an SVG. */
export async function* svgTexts(source: ByteSource): AsyncGenerator<NamedText> {
  const svg = (await source.head(MOST_SVG_BYTES)).toString('utf8');
  const start = svg.indexOf(CDATA, Math.max(svg.indexOf('<metadata'), 0));
  const end = svg.indexOf(']]>', start);
  if (start >= 0 && end >= 0) yield ['comment', svg.slice(start + CDATA.length, end)];
}

function* members(json: Buffer, path: readonly string[]): Generator<NamedText> {
  const header = JsonText.maybeParse(json.toString('utf8').trimEnd());
  if (!header) throw new DamagedFile('has a header that is not JSON');
  const found = path.reduce<JsonText | undefined>((at, name) => at?.get(name), header);
  for (const [name, value] of found?.entries() ?? []) yield [name, value.asString() ?? value.text];
}

const CDATA = '<![CDATA[';
const MOST_SVG_BYTES = 16_000_000;
