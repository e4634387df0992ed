/** A binary glTF file with one mesh. glTF 2.0, "GLB file format". */

export interface Mesh {
  /** x, y, z of each corner. */
  readonly corners: Float32Array;
  /** Three corners of each triangle. */
  readonly triangles: Uint16Array;
}

export function encodeGlb({ corners, triangles }: Mesh, generator: string): Buffer {
  const positions = bytesOf(corners);
  const indices = bytesOf(triangles);
  const [views, accessors] = [
    [view(0, positions.length, 34_962), view(positions.length, indices.length, 34_963)],
    [
      { ...accessor(0, 5126, 'VEC3', corners.length / 3), ...bounds(corners) },
      accessor(1, 5123, 'SCALAR', triangles.length),
    ],
  ];
  const description = {
    asset: { version: '2.0', generator },
    buffers: [{ byteLength: positions.length + indices.length }],
    bufferViews: views,
    accessors,
    meshes: [{ primitives: [{ attributes: { POSITION: 0 }, indices: 1 }] }],
    nodes: [{ mesh: 0 }],
    scenes: [{ nodes: [0] }],
    scene: 0,
  };
  const json = chunk('JSON', Buffer.from(JSON.stringify(description)), 0x20);
  const binary = chunk('BIN\0', Buffer.concat([positions, indices]), 0);
  const length = 12 + json.length + binary.length;
  return Buffer.concat([Buffer.from('glTF'), u32(2), u32(length), json, binary]);
}

const view = (byteOffset: number, byteLength: number, target: number) => ({
  buffer: 0,
  byteOffset,
  byteLength,
  target,
});

const accessor = (bufferView: number, componentType: number, type: string, count: number) => ({
  bufferView,
  componentType,
  type,
  count,
});

function bounds(corners: Float32Array) {
  const axis = (which: number) => corners.filter((_, at) => at % 3 === which);
  const axes = [axis(0), axis(1), axis(2)];
  return { min: axes.map((all) => Math.min(...all)), max: axes.map((all) => Math.max(...all)) };
}

/** Pads a chunk to a multiple of four bytes. */
function chunk(type: string, content: Buffer, filler: number): Buffer {
  const padding = Buffer.alloc((4 - (content.length % 4)) % 4, filler);
  const length = u32(content.length + padding.length);
  return Buffer.concat([length, Buffer.from(type), content, padding]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array) =>
  Buffer.from(buffer, byteOffset, byteLength);
