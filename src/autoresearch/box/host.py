"""What of this machine a box shows: programs, libraries, a few settings, the assigned GPUs.

    view = View.of(["/data/tree"], interpreter)

Everything is named as a real path; the links that lead to it are listed apart, so that every
path means the same inside as outside. What is not listed is not there.

What it does not cover: NixOS and Guix, whose libraries lie in one store together with everything
else; there the box does not start and the tier falls.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from autoresearch.box.interpreter import Interpreter, weights

SYSTEM = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32"),
    *("/usr/libexec", "/usr/include", "/usr/local/bin", "/usr/local/include"),
    *("/usr/local/lib", "/usr/local/lib64", "/usr/local/cuda", "/opt/cuda", "/opt/rocm"),
    *("/usr/share/zoneinfo", "/usr/share/terminfo", "/usr/share/ca-certificates"),
    *("/usr/share/libdrm", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/localtime", "/etc/alternatives", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls", "/etc/crypto-policies"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
)
# Of folders in library folders these are shown; the rest are programs' own (some bring a Python).
LIBRARIES = re.compile(
    r".*-linux-(gnu|musl).*|gcc.*|llvm.*|clang.*|cuda.*|nvidia.*|rocm.*|wsl|locale|gconv|"
    r"bfd-plugins|compat-ld|gold-ld|ossl-modules|engines.*|x86_64|aarch64|blas|lapack|openblas.*"
)
LIBRARY_FOLDERS = frozenset(("lib", "lib32", "lib64", "libx32", "libexec"))
PYTHON = re.compile(r"python\d.*|pypy.*")
NVIDIA_SHARED = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")
OTHER_GPUS = ("kfd", "dri", "dxg")  # ROCm, which picks by environment; WSL


@dataclass(frozen=True, slots=True)
class View:
    """`shown` is there except for what is in `masked`."""

    shown: tuple[Path, ...]
    masked: tuple[Path, ...]
    links: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, python: Interpreter, *more: Iterable[Path]) -> "View":
        """Of the system, an interpreter and what else is named."""
        links: dict[Path, str] = {}
        wanted = chain(map(Path, SYSTEM), python.shown(), python.packages, *more)
        reals = [real_path(each, links) for each in wanted]
        outer = outermost(each for each in reals if each.exists())
        real_path(python.executable, links)
        kept = {link: to for link, to in links.items() if not is_below(link, outer)}
        masked = (*foreign(outer, python), *weights(python.packages))
        return cls(outer, tuple(each for each in masked if each.exists()), kept)


def real_path(path: Path, links: dict[Path, str]) -> Path:
    """The path with every link followed; the links are added to `links` with where they point."""
    here, parts = Path("/"), list(reversed(path.absolute().parts[1:]))
    while parts:
        part = parts.pop()
        there = here.parent if part == ".." else here / part
        if there.is_symlink() and len(links) < 1000:
            target = there.readlink()
            links[there] = str(target)
            parts += reversed([each for each in target.parts if each != "/"])
            here = Path("/") if target.is_absolute() else here
        else:
            here = there
    return here


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Without those that lie below another, shortest first."""
    kept: dict[Path, None] = {}
    for path in sorted(set(paths), key=lambda each: (len(each.parts), each)):
        if not is_below(path, kept):
            kept[path] = None
    return tuple(kept)


def is_below(path: Path, folders: Container[Path]) -> bool:
    """True for the folders themselves, too."""
    return path in folders or any(each in folders for each in path.parents)


def foreign(shown: Iterable[Path], python: Interpreter) -> list[Path]:
    """Folders of programs, and other interpreters' libraries, that lie in what is shown."""
    own = (python.stdlib, *python.packages, *python.prefixes)
    found = []
    for folder in shown:
        for each in sub_folders(folder) if folder.name in LIBRARY_FOLDERS else ():
            other_python = PYTHON.fullmatch(each.name)
            system = is_below(folder, [Path("/usr"), Path("/lib")])
            if other_python or (system and not LIBRARIES.fullmatch(each.name)):
                found.append(each)
    return [each for each in found if not any(mine.is_relative_to(each) for mine in own)]


def sub_folders(folder: Path) -> tuple[Path, ...]:
    return tuple(
        each for each in sorted(folder.iterdir()) if each.is_dir() and not each.is_symlink()
    )


def gpu_devices(gpus: tuple[int, ...] | None, dev: Path = Path("/dev")) -> list[Path]:
    """Device nodes of the assigned GPUs: numbers as NVIDIA's nodes count; None: all; (): none."""
    if gpus == ():
        return []
    if gpus is None:
        own = sorted(each for each in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", each.name))
    else:
        own = [each for number in gpus if (each := dev / f"nvidia{number}").exists()]
    shared = [dev / name for name in NVIDIA_SHARED] if own else []
    return [each for each in (*own, *shared, *(dev / name for name in OTHER_GPUS)) if each.exists()]
