"""A bare folder that holds just the lab's files, as `init` makes it, and a cache of its own."""

import gc
import importlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FILES = Path(__file__).parents[2] / "src" / "autoresearch" / "labs" / "gpt"
SHAKESPEARE = Path(__file__).parents[3] / "shared" / "data" / "tinyshakespeare.txt"
SENTENCE = "the sea was calm and no one on the ship had seen land for nine days or more when"


class Lab:
    """Runs the lab's scripts as a person would: from their folder, with the environment's cache."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        folder.mkdir()
        for name in ("prepare.py", "train.py"):
            shutil.copy(FILES / name, folder)

    def environment(self, **settings: object) -> dict[str, str]:
        dropped = ("AUTORESEARCH_", "HF_")
        plain = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        given = {"CACHE": self.cache, **settings}
        own = {k if k.startswith("HF_") else f"AUTORESEARCH_{k}": str(v) for k, v in given.items()}
        return (
            plain | own | {"OMP_NUM_THREADS": "1"}
        )  # more only wait for each other when it is busy

    def start(self, *command: object, **settings: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=self.folder,
            env=self.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: object, **settings: object) -> subprocess.CompletedProcess[str]:
        with self.start(*command, **settings) as process:
            try:
                out, err = process.communicate(timeout=120)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def prepare(self, source: object, **settings: object) -> Path:
        """Prepares a corpus that must succeed; returns its folder in the cache."""
        done = self.run("prepare.py", "--source", source, **settings)
        assert done.returncode == 0, done.stderr
        return Path(summary(done.stdout)["folder"])

    def refusal(self, *command: object, **settings: object) -> str:
        """The last line of a command that must fail as a person's mistake does: no traceback."""
        done = self.run(*command, **settings)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        lines = [line for line in done.stderr.splitlines() if not line.startswith("prepare: ")]
        assert len(lines) == 1, done.stderr
        return lines[0]


def summary(text: str) -> dict[str, str]:
    """The `key: value` lines of an output."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def prose(size: int, seed: int = 0) -> str:
    """Lines of English words, about `size` characters."""
    words, known = random.Random(seed), SENTENCE.split()
    lines: list[str] = []
    while size > 0:
        line = " ".join(words.choices(known, k=words.randint(3, 12))) + "."
        lines.append(f"{words.randrange(10_000)} {line}")
        size -= len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def modules(folder: Path, cache: Path, *names: str) -> Iterator[dict[str, ModuleType]]:
    """The lab's files as modules of this process, forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AUTORESEARCH_"):
                patch.delenv(name)
        patch.setenv("AUTORESEARCH_CACHE", str(cache))
        patch.syspath_prepend(str(folder))
        try:
            loaded = {name: importlib.import_module(name) for name in names}
            gc.enable()
            yield loaded
        finally:
            for name in names:
                sys.modules.pop(name, None)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lab")


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """prepare.py in this process, for what is not a command."""
    folder = tmp_path_factory.mktemp("modules")
    for name in ("prepare.py", "train.py"):
        shutil.copy(FILES / name, folder)
    for loaded in modules(folder, folder / "cache", "prepare"):
        yield loaded["prepare"]


@pytest.fixture(scope="module")
def train(prepare: ModuleType) -> Iterator[ModuleType]:
    """train.py in this process; it imports the `prepare` above."""
    assert prepare.__file__
    folder = Path(prepare.__file__).parent
    for loaded in modules(folder, folder / "cache", "train"):
        yield loaded["train"]


@pytest.fixture(scope="session")
def shakespeare() -> Path:
    if not SHAKESPEARE.exists():
        pytest.skip(f"the corpus {SHAKESPEARE} is not on this machine")
    return SHAKESPEARE
