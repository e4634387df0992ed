import type { NodeInfo } from './nodes/node-info.ts';

/** ComfyUI versions the simulator can speak like. */
export type ComfyVersion = '0.8.0' | '0.33.0';

/** The differences between ComfyUI versions that clients can see. Each recording was made with one of them. */
export interface Profile {
  readonly version: ComfyVersion;
  /** `POST /prompt` accepts only canonical UUIDs as `prompt_id`; null means absent. */
  readonly promptIdsAreUuids: boolean;
  /** Unknown classes are reported as `missing_node_type` with the node's id, class and title. */
  readonly namesMissingNodes: boolean;
  /** A cycle is reported as `dependency_cycle` at each of its nodes. */
  readonly reportsCycles: boolean;
  /** `value_not_in_list` quotes the value as `repr()` does, not between single quotes. */
  readonly quotesChoices: boolean;
  /** Prompts without a `client_id` lack the outputs of cached nodes in the history. */
  readonly losesCachedOutputs: boolean;
  /** Nodes of missing classes are replaced as `/node_replacements` says. */
  readonly replacesNodes: boolean;
  /** Jobs can be cancelled, have the status `cancelled`, and count previewable outputs. */
  readonly cancelsJobs: boolean;
  /** Files are sent with `X-Content-Type-Options: nosniff`; those a browser would execute are attachments. */
  readonly guardsFiles: boolean;
  /** Requests that a browser marks as `cross-site` are refused. */
  readonly refusesCrossSite: boolean;
  /** An older aiohttp: answers without a body have a content type, and errors tell the size of too large a body. */
  readonly olderHttp: boolean;
  /** Log entries begin with a coloured level. */
  readonly tagsLogs: boolean;
  /** Members of `/features` beside those every version has. */
  readonly features: {
    readonly first: Readonly<Record<string, unknown>>;
    readonly last: Readonly<Record<string, unknown>>;
  };
  /** Members of `system_stats.system`. */
  readonly system: Readonly<Record<string, unknown>>;
  /** The answer of `/models`, in ComfyUI's order. */
  readonly modelFolders: readonly string[];
  /** The entry of a class in `/object_info`, as this version writes it. */
  describe(info: NodeInfo): NodeInfo;
}

/** Folders of 0.8.0; later versions insert some and append others. */
const MODEL_FOLDERS: readonly string[] = [
  'checkpoints',
  'configs',
  'loras',
  'vae',
  'text_encoders',
  'diffusion_models',
  'clip_vision',
  'style_models',
  'embeddings',
  'diffusers',
  'vae_approx',
  'controlnet',
  'gligen',
  'upscale_models',
  'latent_upscale_models',
  'custom_nodes',
  'hypernetworks',
  'photomaker',
  'classifiers',
  'model_patches',
  'audio_encoders',
];

const PROFILES: Readonly<Record<ComfyVersion, Profile>> = {
  '0.8.0': {
    version: '0.8.0',
    promptIdsAreUuids: false,
    namesMissingNodes: false,
    reportsCycles: false,
    quotesChoices: false,
    losesCachedOutputs: true,
    replacesNodes: false,
    cancelsJobs: false,
    guardsFiles: false,
    refusesCrossSite: false,
    olderHttp: true,
    tagsLogs: false,
    features: { first: {}, last: {} },
    system: {
      required_frontend_version: '1.35.9',
      installed_templates_version: null,
      required_templates_version: '0.7.67',
    },
    modelFolders: MODEL_FOLDERS,
    describe: withoutLaterMembers,
  },
  '0.33.0': {
    version: '0.33.0',
    promptIdsAreUuids: true,
    namesMissingNodes: true,
    reportsCycles: true,
    quotesChoices: true,
    losesCachedOutputs: false,
    replacesNodes: true,
    cancelsJobs: true,
    guardsFiles: true,
    refusesCrossSite: true,
    olderHttp: false,
    tagsLogs: true,
    features: {
      first: { supports_model_type_tags: true },
      last: { node_replacements: true, assets: false },
    },
    system: {
      required_frontend_version: '1.49.6',
      installed_templates_version: null,
      required_templates_version: '0.11.44',
      comfy_package_versions: [
        required('comfyui-frontend-package', '1.49.6'),
        required('comfyui-workflow-templates', '0.11.44'),
        required('comfyui-embedded-docs', '0.5.10'),
        required('comfy-kitchen', '0.2.31'),
        required('comfy-aimdo', '0.4.13'),
      ],
      deploy_environment: 'local-git',
    },
    modelFolders: [
      ...MODEL_FOLDERS.toSpliced(MODEL_FOLDERS.indexOf('custom_nodes') + 1, 0, 'datasets'),
      'background_removal',
      'frame_interpolation',
      'geometry_estimation',
      'optical_flow',
      'detection',
    ],
    describe: withLaterMembers,
  },
};

export function profileOf(version: ComfyVersion = '0.33.0'): Profile {
  return PROFILES[version];
}

function required(name: string, version: string) {
  return { name, installed: null, required: version };
}

function withoutLaterMembers(info: NodeInfo): NodeInfo {
  const known = Object.entries(info).filter(([key]) => !LATER_MEMBERS.has(key));
  return Object.fromEntries(known) as NodeInfo;
}

const LATER_MEMBERS = new Set([
  'is_input_list',
  'has_intermediate_output',
  'dev_only',
  'search_aliases',
  'essentials_category',
]);

function withLaterMembers(info: NodeInfo): NodeInfo {
  const { input, input_order, ...rest } = info;
  return {
    input,
    input_order,
    is_input_list: false,
    ...rest,
    has_intermediate_output: info.has_intermediate_output ?? false,
  };
}
