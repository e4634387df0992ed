#!/usr/bin/env bash
# Does what must come before the worker, then becomes the worker. The worker starts ComfyUI (COMFY_COMMAND).
set -euo pipefail

comfy=/comfyui

say() { echo "start.sh: $*" >&2; }

# With PUBLIC_KEY: an SSH server for root, with host keys of this container's own.
start_ssh() {
  mkdir -p ~/.ssh /run/sshd
  chmod 700 ~/.ssh
  echo "$PUBLIC_KEY" > ~/.ssh/authorized_keys
  chmod 600 ~/.ssh/authorized_keys
  ssh-keygen -A > /dev/null
  /usr/sbin/sshd
}

# ComfyUI keeps less memory over many jobs with tcmalloc.
preload_tcmalloc() {
  local library
  library=$(ldconfig -p | grep -Eo '/\S*libtcmalloc(_minimal)?\.so\.[0-9]+' | head -n 1) || true
  if [ -n "$library" ]; then export LD_PRELOAD="$library"; fi
}

# An unknown argument stops the start of ComfyUI.
add_argument_if_known() {
  if grep -qs -- "\"$1\"" "$comfy/comfy/cli_args.py"; then COMFY_ARGS="$1 ${COMFY_ARGS:-}"; fi
}

# COMFY_CPU=true, or --cpu in COMFY_ARGS.
is_cpu_mode() {
  [ "${COMFY_CPU:-false}" = true ] || [[ " ${COMFY_ARGS:-} " == *' --cpu '* ]]
}

# With COMFY_USER, ComfyUI runs as that user, and the worker stays root.
run_comfy_as_user() {
  local home
  id "$COMFY_USER" > /dev/null 2>&1 || useradd --create-home "$COMFY_USER"
  home=$(getent passwd "$COMFY_USER" | cut -d : -f 6)
  mkdir -p $comfy/{input,output,temp,user,models}
  chown "$COMFY_USER" $comfy $comfy/models
  chown -R "$COMFY_USER" $comfy/{input,output,temp,user}
  COMFY_COMMAND="setpriv --reuid=$COMFY_USER --regid=$(id -g "$COMFY_USER") --init-groups env HOME=$home $COMFY_COMMAND"
}

if [ -n "${PUBLIC_KEY:-}" ]; then
  start_ssh || say 'the SSH server could not be started'
fi

if [ -z "${LD_PRELOAD:-}" ]; then preload_tcmalloc; fi

if [ -n "${COMFY_COMMAND:-}" ]; then
  if is_cpu_mode; then
    say 'CPU mode: ComfyUI does not use a GPU'
    [[ " ${COMFY_ARGS:-} " == *' --cpu '* ]] || COMFY_ARGS="--cpu ${COMFY_ARGS:-}"
    export COMFY_CPU=true
  fi
  add_argument_if_known --disable-assets
  comfy-manager-set-mode offline || say 'ComfyUI-Manager could not be set to offline'
  if [ -n "${COMFY_USER:-}" ]; then run_comfy_as_user; fi
  export COMFY_COMMAND COMFY_ARGS
fi

if compgen -G '/*snapshot*.json' > /dev/null && [ ! -e "$comfy/.snapshot-restored" ]; then
  say "the snapshot beside start.sh was not restored: add 'RUN /restore_snapshot.sh' to the Dockerfile, below the line that copies it"
fi

# Workflows that jobs call by name may lie on the network volume.
volume=${NETWORK_VOLUME_DIR:-/runpod-volume}
if [ -z "${WORKFLOWS_DIR:-}" ] && [ -d "$volume/workflows" ]; then
  export WORKFLOWS_DIR="$volume/workflows"
fi

exec comfyui-worker "$@"
