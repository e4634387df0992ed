"""For start scripts of images that were made for the Python worker: they start ComfyUI themselves, then this file."""

import os
import sys

os.environ["COMFY_COMMAND"] = ""
os.execvp("comfyui-worker", ["comfyui-worker", *sys.argv[1:]])
