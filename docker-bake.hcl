# Images by name: docker buildx bake base. The models, and base images by digest, are data in docker-bake.json, which is read
# together with this file.

variable "DOCKERHUB_REPO" {
  default = "local"
}
variable "DOCKERHUB_IMG" {
  default = "comfyui-worker"
}
variable "RELEASE_VERSION" {
  default = "latest"
}
variable "GIT_REVISION" {
  default = ""
}
variable "COMFYUI_VERSION" {
  default = "0.33.0"
}
variable "BASE_IMAGE" {
  default = IMAGES.cuda12_6
}
variable "CUDA_VERSION_FOR_COMFY" {
  default = "12.6"
}
variable "ENABLE_PYTORCH_UPGRADE" {
  default = "false"
}
variable "PYTORCH_INDEX_URL" {
  default = ""
}

function "tag" {
  params = [suffix]
  result = ["${DOCKERHUB_REPO}/${DOCKERHUB_IMG}:${RELEASE_VERSION}-${suffix}"]
}

group "default" {
  targets = concat(["base", "base-cuda12-8-1"], [for model in MODELS : model.name])
}

target "_common" {
  context    = "."
  dockerfile = "Dockerfile"
  platforms  = ["linux/amd64"]
  args = {
    BASE_IMAGE             = BASE_IMAGE
    NODE_IMAGE             = IMAGES.node
    COMFYUI_VERSION        = COMFYUI_VERSION
    CUDA_VERSION_FOR_COMFY = CUDA_VERSION_FOR_COMFY
    ENABLE_PYTORCH_UPGRADE = ENABLE_PYTORCH_UPGRADE
    PYTORCH_INDEX_URL      = PYTORCH_INDEX_URL
  }
  labels = {
    "org.opencontainers.image.version"  = RELEASE_VERSION
    "org.opencontainers.image.revision" = GIT_REVISION
  }
}

target "base" {
  inherits = ["_common"]
  target   = "base"
  args     = { MODEL_TYPE = "base" }
  tags     = tag("base")
}

target "base-cuda12-8-1" {
  inherits = ["base"]
  args = {
    BASE_IMAGE             = IMAGES.cuda12_8
    CUDA_VERSION_FOR_COMFY = ""
    ENABLE_PYTORCH_UPGRADE = "true"
    PYTORCH_INDEX_URL      = "https://download.pytorch.org/whl/cu128"
  }
  tags = tag("base-cuda12.8.1")
}

# For machines without a GPU: tests, and small workflows.
target "cpu" {
  inherits = ["base"]
  args = {
    BASE_IMAGE             = IMAGES.cpu
    CUDA_VERSION_FOR_COMFY = "cpu"
    COMFY_CPU              = "true"
  }
  tags = tag("cpu")
}

# One target for each model of docker-bake.json.
target "models" {
  name     = model.name
  matrix   = { model = MODELS }
  inherits = ["_common"]
  target   = "final"
  args     = { MODEL_TYPE = model.name }
  tags     = tag(model.name)
  secret   = model.needs_token ? ["id=HUGGINGFACE_ACCESS_TOKEN,env=HUGGINGFACE_ACCESS_TOKEN"] : []
}
