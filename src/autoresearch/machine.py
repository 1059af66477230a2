"""What this machine is: facts for the report."""

import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

import autoresearch


def facts() -> dict[str, str]:
    """Names and sizes, none of which identifies a person or a host."""
    found = {
        "autoresearch": autoresearch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor()}, {psutil.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
    }
    with suppress(PackageNotFoundError):
        found["torch"] = version("torch")
    if gpu := graphics():
        found["gpu"] = gpu
    return found


def in_short(facts: Mapping[str, str]) -> str:
    """What trains there, and the memory: "NVIDIA H100 80GB HBM3, 81559 MiB"; "" without facts."""
    return facts.get("gpu") or ", ".join(filter(None, map(facts.get, ("processor", "memory"))))


def processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def graphics() -> str:
    """Names of the NVIDIA GPUs, or "": other makers' are not asked for."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""
    return ""
