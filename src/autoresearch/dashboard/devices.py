"""How busy the machine is: processor, memory, and NVIDIA GPUs where `nvidia-smi` is there."""

import shutil
import subprocess
import time
from typing import Any

import psutil

from autoresearch.text import clean_line

SAMPLE_SECONDS = 2.0
GPU_SECONDS = 5.0
COARSE_BYTES = 2**26  # less than that is no news
_GPU_FACTS = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")


class Devices:
    """Samples, not oftener than every two seconds; the GPUs more seldom, as asking is slow."""

    def __init__(self) -> None:
        self._tool = shutil.which("nvidia-smi")
        self._gpus: list[dict[str, Any]] = []
        self._asked_at = self._sampled_at = float("-inf")
        self._latest: dict[str, Any] = {}
        psutil.cpu_percent(None)  # the first answer of all is always 0

    def sample(self) -> dict[str, Any]:
        """Percent and bytes; the same object until there is a new sample."""
        now = time.monotonic()
        if now - self._sampled_at < SAMPLE_SECONDS:
            return self._latest
        self._sampled_at = now
        if self._tool and now - self._asked_at >= GPU_SECONDS:
            self._asked_at, self._gpus = now, gpus(self._tool)
        memory = psutil.virtual_memory()
        self._latest = {
            "cpu_percent": round(psutil.cpu_percent(None)),
            "cores": psutil.cpu_count() or 1,
            "memory_used": (memory.total - memory.available) // COARSE_BYTES * COARSE_BYTES,
            "memory_total": memory.total,
            "gpus": self._gpus,
        }
        return self._latest


def gpus(tool: str) -> list[dict[str, Any]]:
    """Empty where the tool does not answer."""
    words = [tool, f"--query-gpu={','.join(_GPU_FACTS)}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=4, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [gpu for line in said.splitlines() if (gpu := gpu_of(line))]


def gpu_of(line: str) -> dict[str, Any]:
    """One line of the tool's table; numbers that it does not know are None."""
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != len(_GPU_FACTS):
        return {}
    percent, used, total, celsius = map(number_of, parts[1:])
    return {
        "name": clean_line(parts[0], 60),
        "percent": percent,
        "memory_used": used and used * 2**20,
        "memory_total": total and total * 2**20,
        "celsius": celsius,
    }


def number_of(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
