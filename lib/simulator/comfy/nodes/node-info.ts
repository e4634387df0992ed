/** ComfyUI's description of an input: `[type, options]`, `[[choices], options]` or `["COMBO", {options}]`. */
export type InputSpec = readonly [string | readonly unknown[], Readonly<Record<string, unknown>>?];

/** An entry of `/object_info`, with ComfyUI's own key names and order. */
export interface NodeInfo {
  readonly input: {
    readonly required?: Readonly<Record<string, InputSpec>>;
    readonly optional?: Readonly<Record<string, InputSpec>>;
    readonly hidden?: Readonly<Record<string, unknown>>;
  };
  readonly input_order: Readonly<Record<string, readonly string[]>>;
  readonly output: readonly unknown[];
  readonly output_is_list: readonly boolean[];
  readonly output_name: readonly string[];
  readonly name: string;
  readonly display_name: string | null;
  readonly description?: string;
  readonly python_module: string;
  readonly category: string;
  readonly output_node: boolean;
  readonly [extra: string]: unknown;
}
