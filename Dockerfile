# The image of the worker and ComfyUI. docs/deployment.md tells how to use it, docs/customization.md how to build on it.
#
# Stages:
#   node-modules    the packages of the worker
#   worker          the packed worker, and a manifest for each model in docker-bake.json
#   comfyui-source  ComfyUI at its pinned commit
#   python-locks    lock files of the Python packages; a folder "wheels" in it replaces the index
#   base            all of the above, without models
#   models          the model files of MODEL_TYPE
#   final           base with these models; built when no target is named
#
# For mirrors, and for builds without a network, a named context replaces a stage:
#   docker build --build-context comfyui-source=FOLDER --build-context python-locks=FOLDER --build-context node-modules=FOLDER .

ARG BASE_IMAGE=nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
ARG NODE_IMAGE=node:24.21.0-bookworm-slim


FROM ${NODE_IMAGE} AS node-modules-installed
ARG NPM_REGISTRY=https://registry.npmjs.org
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci --prefer-offline --no-progress --registry "$NPM_REGISTRY"

FROM scratch AS node-modules
COPY --from=node-modules-installed /build/node_modules /

FROM ${NODE_IMAGE} AS worker
WORKDIR /build
COPY --from=node-modules / node_modules/
COPY package.json .npmrc ./
COPY LICENSE tsconfig.json tsconfig.build.json docker-bake.json ./
COPY scripts/copy-data.ts scripts/
COPY scripts/images/*.ts scripts/images/
COPY handler handler
COPY lib lib
RUN npm run build \
    && node scripts/images/pack-worker.ts /out/worker \
    && node scripts/images/write-manifests.ts /out/manifests \
    && cp "$(node -p process.execPath)" /out/worker/bin/node


FROM ${BASE_IMAGE} AS comfyui-fetched
# A version other than the pinned one of images/comfyui.env is fetched by its tag; "latest" is the newest tag.
ARG COMFYUI_VERSION=0.33.0
ARG COMFYUI_REPOSITORY=https://github.com/comfyanonymous/ComfyUI.git
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/*
COPY scripts/images/fetch-comfyui images/comfyui.env /tmp/
RUN /tmp/fetch-comfyui "$COMFYUI_REPOSITORY" "$COMFYUI_VERSION" /comfyui

FROM scratch AS comfyui-source
COPY --from=comfyui-fetched /comfyui /

FROM scratch AS python-locks
COPY images/python /


FROM ${BASE_IMAGE} AS base

ARG PYTHON=python3.12
ARG SYSTEM_PACKAGES="git wget ca-certificates libgl1 libglib2.0-0 libsm6 libxext6 libxrender1 ffmpeg openssh-server tini libtcmalloc-minimal4"
# Every container makes its own SSH host keys (start.sh), so the ones that the package makes are removed in the same layer.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        "$PYTHON" "$PYTHON-venv" $SYSTEM_PACKAGES \
    && ln -sf "/usr/bin/$PYTHON" /usr/bin/python \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*

# One interpreter: pip, uv and comfy-cli find it through VIRTUAL_ENV, scripts through PATH.
ENV DEBIAN_FRONTEND=noninteractive \
    PIP_PREFER_BINARY=1 \
    PIP_NO_INPUT=1 \
    PYTHONUNBUFFERED=1 \
    CMAKE_BUILD_PARALLEL_LEVEL=8 \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH

ARG COMFYUI_VERSION=0.33.0
ARG CUDA_VERSION_FOR_COMFY=
ARG ENABLE_PYTORCH_UPGRADE=false
ARG PYTORCH_INDEX_URL=
ARG PIP_INDEX_URL=https://pypi.org/simple
COPY --from=python-locks / /opt/python-locks/
COPY scripts/images/install-torch scripts/images/install-comfyui /opt/python-locks/
# PyTorch is the largest layer. It changes only with its lock.
RUN --mount=type=cache,target=/root/.cache/pip \
    "$PYTHON" -m venv /opt/venv && /opt/python-locks/install-torch
COPY --from=comfyui-source / /comfyui/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/python-locks/install-comfyui

COPY --from=worker /out/worker /opt/comfyui-worker
RUN ln -s /opt/comfyui-worker/bin/comfyui-worker /usr/local/bin/comfyui-worker
COPY scripts/comfy-node-install scripts/comfy-manager-set-mode scripts/comfy-smoke-start scripts/comfy-prepare scripts/gpu-preflight /usr/local/bin/
COPY scripts/start.sh scripts/restore_snapshot.sh scripts/handler.py test_input.json /

# The worker adds COMFY_ARGS. An empty COMFY_COMMAND means that somebody else starts ComfyUI.
ARG COMFY_CPU=false
ENV COMFY_CPU=${COMFY_CPU} \
    COMFY_COMMAND="python -u /comfyui/main.py --disable-auto-launch --log-stdout --verbose INFO" \
    COMFY_BEFORE_START="comfy-prepare before-start" \
    COMFY_AFTER_START="comfy-prepare after-start" \
    MANIFEST_FILE=/manifest.yaml
# Folders that Dockerfiles on top of ours copy into. Then the smoke start: ComfyUI starts, and every node pack is imported.
WORKDIR /comfyui
RUN mkdir -p custom_nodes input output \
        models/checkpoints models/vae models/unet models/clip models/text_encoders models/diffusion_models \
        models/model_patches models/loras models/controlnet models/upscale_models \
    && comfyui-worker --version \
    && comfy-smoke-start

HEALTHCHECK --interval=30s --timeout=10s --start-period=15m --retries=3 \
    CMD ["sh", "-c", "exec wget -q -T 5 -O /dev/null ${COMFY_URL:-http://127.0.0.1:8188}/system_stats"]
WORKDIR /
ENTRYPOINT ["tini", "--"]
CMD ["/start.sh"]
LABEL org.opencontainers.image.title="comfyui-worker" \
      org.opencontainers.image.description="Runs ComfyUI workflows as jobs of a queue or an HTTP API" \
      org.opencontainers.image.licenses="MIT"


FROM base AS models
ARG MODEL_TYPE=flux1-dev-fp8
# Use the secret of the same name: an argument can be read in the build's cache and history.
ARG HUGGINGFACE_ACCESS_TOKEN=
COPY --from=worker /out/manifests/${MODEL_TYPE}.yaml /tmp/manifest.yaml
COPY scripts/images/pull-models /tmp/
RUN --mount=type=secret,id=HUGGINGFACE_ACCESS_TOKEN /tmp/pull-models /tmp/manifest.yaml


FROM base AS final
ARG MODEL_TYPE=flux1-dev-fp8
COPY --from=worker /out/manifests/${MODEL_TYPE}.nodes /opt/comfyui-worker/nodes.txt
RUN if [ -s /opt/comfyui-worker/nodes.txt ]; then xargs comfy-node-install < /opt/comfyui-worker/nodes.txt; fi
COPY --from=models /comfyui/models /comfyui/models
