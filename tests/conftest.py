"""What several test files use: a tiny lab, and the command line as a person calls it."""

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoresearch.testing.tiny import make_tiny_lab
from tests.warm import Engines

gc.disable()  # while all is imported: there is nothing to find, and looking takes as long again
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more workers than cores: torch's would spin
MEASURED = {}  # what coverage tells the processes that it shall follow
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in [each for each in os.environ if each.startswith("COVERAGE_")]:
        MEASURED[name] = os.environ.pop(name)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell's background job: what we start
    signal.signal(signal.SIGINT, signal.default_int_handler)  # must not be deaf to Ctrl-C, too
LONGEST = (  # those that mostly wait among those that mostly work
    "test_attacks",
    "test_score",
    "test_audit",
    "test_kill",
    "test_opencode",
    "test_cli",
    "test_faults",
    "test_trust",
    "test_page",
    "test_night",
    "test_prepare",
    "test_gemini",
    "test_looks",
    "test_train",
)

Call = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, so that all workers end together."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Coverage follows what a test starts where that is asked for: nobody else waits for it."""
    if item.get_closest_marker("measured"):
        os.environ.update(MEASURED)
    try:
        return (yield)
    finally:
        for name in MEASURED:
            os.environ.pop(name, None)


@pytest.fixture
def tiny_lab(tmp_path: Path) -> Path:
    return make_tiny_lab(tmp_path / "lab")


@pytest.fixture(scope="session")
def warm() -> Iterator[Callable[[], Engines]]:
    """Engines to be called; others when they were killed in a call that did not end."""
    made: list[Engines] = []

    def there() -> Engines:
        if not made or not made[-1].are_there:
            made.append(Engines(MEASURED))
        return made[-1]

    yield there
    for each in made:
        each.close()


@pytest.fixture
def autoresearch(warm: Callable[[], Engines]) -> Call:
    """autoresearch(lab, "run", ...) -> the finished process; `code` is the exit code expected."""

    def call(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = warm().run(folder, words, {**os.environ, "COLUMNS": "120"})
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call
