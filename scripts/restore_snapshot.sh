#!/usr/bin/env bash
# Installs the node packs of a snapshot of ComfyUI-Manager: of the first /*snapshot*.json, at the commits and versions that it
# names. What a snapshot has beside these (ComfyUI itself, the list of Python packages) is not restored, and listed as a problem.
set -euo pipefail

snapshot=$(find / -maxdepth 1 -name '*snapshot*.json' | sort | head -n 1)
if [ -z "$snapshot" ]; then
  echo 'There is no /*snapshot*.json; nothing is restored' >&2
  exit 0
fi
manifest=$(mktemp --suffix=.yaml)
comfyui-worker manifest init "$snapshot" --offline --force --manifest "$manifest"
comfyui-worker manifest apply --phase software --manifest "$manifest" --comfy /comfyui
rm "$manifest"
comfy-smoke-start
touch /comfyui/.snapshot-restored
