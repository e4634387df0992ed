import type { NodeDefinition, NodeHost, NodeInfo } from './node.ts';
import { pyRepr, PythonError } from './python-text.ts';

/** The node classes of a server. */
export interface Catalogue {
  readonly nodes: ReadonlyMap<string, NodeDefinition>;
  readonly host: NodeHost;
}

/** A node class with its description as of now: choices change while the server runs. */
export interface DescribedNode {
  readonly definition: NodeDefinition;
  readonly info: NodeInfo;
}

/** @throws PythonError for a class that is not there. */
export async function describe(
  names: Iterable<string>,
  { nodes, host }: Catalogue,
): Promise<Map<string, DescribedNode>> {
  const described = [...names].map(async (name): Promise<[string, DescribedNode]> => {
    const definition = nodes.get(name);
    if (!definition) throw new PythonError('KeyError', pyRepr(name));
    return [name, { definition, info: await definition.info(host) }];
  });
  return new Map(await Promise.all(described));
}
