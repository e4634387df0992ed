"""Writes packages that stand for PyTorch and comfy-cli, and their locks, so that the image is built without an index.
Usage: make-wheels.py FOLDER"""

import hashlib
import os
import sys
import zipfile

COMFY_CLI = '''
import os, sys

def main():
    """Knows: node install NAME. Like the real one, it ends with 0 when a pack cannot be installed."""
    name = sys.argv[-1].split("@")[0]
    if name == "no-such-pack":
        print(f"An error occurred while installing '{name}'. It is not in the registry.")
        return
    folder = os.path.join("/comfyui/custom_nodes", name)
    os.makedirs(folder)
    with open(os.path.join(folder, "__init__.py"), "w") as file:
        file.write("import no_such_module" if name == "broken-pack" else "NODE_CLASS_MAPPINGS = {}")
'''

folder = sys.argv[1]
wheels = os.path.join(folder, "wheels")
os.makedirs(wheels, exist_ok=True)


def make(name, module, source, entry_points, lock):
    info = f"{module}-1.0.dist-info"
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = os.path.join(wheels, f"{module}-1.0-py3-none-any.whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    digest = hashlib.sha256(open(wheel, "rb").read()).hexdigest()
    with open(os.path.join(folder, lock), "w", encoding="utf-8") as file:
        file.write(f"{name}==1.0 --hash=sha256:{digest}\n")


make("torch", "torch", "__version__ = '1.0'\n", "", "torch-cu126.lock")
make("comfy-cli", "comfy_cli", COMFY_CLI, "[console_scripts]\ncomfy = comfy_cli:main\n", "comfyui-0.33.0.lock")
