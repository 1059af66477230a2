"""A Python interpreter as a box must know it: where its parts lie, asked of itself, once.

What it does not cover: packages outside its own folders (editable installs, PYTHONPATH). A box
does not show them.
"""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autoresearch.errors import UserError

QUESTION = """\
import json, sys, sysconfig
ends = ("site-packages", "dist-packages")
print(json.dumps({
    "prefixes": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
    "stdlib": sysconfig.get_path("stdlib"),
    "packages": [each for each in sys.path if each.endswith(ends)],
    "version": sys.version,
    "tag": sys.implementation.cache_tag,
}))
"""
UNUSED = r"[/\\](tests?|idlelib|lib2to3)[/\\]"  # sources that no run imports
COMPILING_SECONDS = 600
PARTS = (  # what of a prefix is shown; beside it conda keeps other environments and downloads
    *("bin", "lib", "lib64", "libexec", "include", "share", "pyvenv.cfg", "ssl", "etc"),
    *("targets", "nvvm", "Frameworks", "Resources", "Python"),
)
SYSTEM_PREFIXES = (Path("/usr"), Path("/usr/local"))  # a box decides on these by itself
WEIGHT_ENDS = (  # pretrained weights, by name; the last two only name data of many kinds
    *(".safetensors", ".pt", ".pth", ".ptl", ".onnx", ".gguf", ".ggml", ".h5", ".hdf5", ".keras"),
    *(".ckpt", ".msgpack", ".tflite", ".pb", ".params", ".caffemodel", ".bin", ".npz", ".npy"),
)
WEIGHT_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Real paths, no link among them, except `executable`, which is as it was given."""

    executable: Path
    prefixes: tuple[Path, ...]
    stdlib: Path
    packages: tuple[Path, ...]
    version: str
    tag: str  # in the names of compiled files, as cpython-313

    def shown(self) -> list[Path]:
        """The folders and files that it needs, beside the system's."""
        own = [each for each in self.prefixes if each not in SYSTEM_PREFIXES]
        return [path for each in own for part in PARTS if (path := each / part).exists()]

    def uncompiled(self) -> list[Path]:
        """Packages that no bytecode lies beside, where we may write it; the stdlib counts as one.

        Some installers (uv, unless told otherwise) leave that to the first import. In a box, where
        packages are read-only, each run would compile all that it imports anew.
        """
        inside = [each for folder in self.packages for each in folder.glob("*/__init__.py")]
        return [
            source.parent
            for source in (self.stdlib / "os.py", *inside)
            if not (source.parent / "__pycache__" / f"{source.stem}.{self.tag}.pyc").exists()
            and os.access(source.parent, os.W_OK)
        ]


@cache
def interpreter(python: str) -> Interpreter:
    """Ask the interpreter where it lies. UserError if it cannot be run."""
    found = shutil.which(python) or python
    command = [found, "-I", "-c", QUESTION]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        facts = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UserError(f"cannot run the lab's Python {python}: {error}") from None
    return Interpreter(
        executable=Path(os.path.abspath(found)),  # noqa: PTH100  links must stay
        prefixes=real(facts["prefixes"]),
        stdlib=Path(facts["stdlib"]).resolve(),
        packages=real(facts["packages"]),
        version=facts["version"],
        tag=facts["tag"],
    )


def compile_packages(packages: list[Path], python: str) -> None:
    """Write their bytecode. What cannot be compiled is left as it is."""
    options = ("-qq", "-j", "0", "-x", UNUSED)
    command = [python, "-I", "-m", "compileall", *options, *map(str, packages)]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=COMPILING_SECONDS, check=False)


def real(paths: list[str]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(each).resolve() for each in paths))


@cache
def weights(packages: tuple[Path, ...]) -> tuple[Path, ...]:
    """Files in installed packages that look like pretrained weights."""
    found, pending = [], [str(each) for each in packages if each.is_dir()]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.name.endswith(WEIGHT_ENDS) and entry.stat().st_size > WEIGHT_BYTES:
                    found.append(Path(entry.path))
    return tuple(found)
