"""Stands for ComfyUI in the test of the images: the embedded ComfyUI, started as the real one is."""

import argparse
import importlib.util
import os
import sys
import traceback

ROOT = os.path.dirname(os.path.realpath(__file__))

parser = argparse.ArgumentParser()
parser.add_argument("--port", default="8188")
parser.add_argument("--verbose", default="INFO")
parser.add_argument("--extra-model-paths-config", nargs="+", action="append", default=[])
for flag in ("auto-launch", "log-stdout", "cpu", "quick-test-for-ci", "disable-auto-launch"):
    parser.add_argument(f"--{flag}", action="store_true")
args = parser.parse_args()  # ends with 2 on an argument that it does not know, as ComfyUI does


def import_pack(folder):
    """Prints what ComfyUI prints about a node pack."""
    name = os.path.basename(folder)
    spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "__init__.py"))
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        print(f"   0.0 seconds: {folder}")
    except Exception:
        traceback.print_exc()
        print(f"   0.0 seconds (IMPORT FAILED): {folder}")


packs = os.path.join(ROOT, "custom_nodes")
print("Import times for custom nodes:")
for pack in sorted(os.listdir(packs)) if os.path.isdir(packs) else []:
    import_pack(os.path.join(packs, pack))
sys.stdout.flush()
if args.quick_test_for_ci:
    sys.exit(0)
for path in sum(args.extra_model_paths_config, []):
    print(f"Reading {path}: {open(path, encoding='utf-8').read()}")
print("Starting server", flush=True)
os.execvp("comfyui-worker", ["comfyui-worker", "comfy", "--port", args.port, "--folder", ROOT])
