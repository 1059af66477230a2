"""What every researcher must keep to, as checks that anybody can run over theirs.

    def test_mine(tmp_path):
        check_researcher(MyResearcher, tmp_path)

A check raises AssertionError with a sentence that says what is wrong. Each makes its researcher and
its study anew; CHECKS holds them all, for a test that is to name the one that fails.
"""

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from autoresearch.errors import Failed, Spent, Stopped
from autoresearch.experiment import Proposal, Verdict
from autoresearch.researchers.base import Desk, Researcher
from autoresearch.testing.bench import Bench, contents

Make = Callable[[], Researcher]
STOP_SECONDS = 3.0  # from the tick that stops to the end of the proposal
GONE_SECONDS = 3.0  # for threads and processes to end after it
LONGEST_DESCRIPTION = 500


def check_researcher(make: Make, folder: Path) -> None:
    """All checks. `make` is called often, and each time for a researcher that knows nothing yet."""
    for check in CHECKS:
        check(make, Bench(folder / check.__name__))


def changes_only_what_is_editable(make: Make, bench: Bench) -> None:
    """One proposal: files, description, hypothesis."""
    desk = bench.desk()
    before = contents(desk.tree)
    proposal = _proposal(make(), desk, bench)
    after = contents(desk.tree)
    names = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
    foreign = sorted(name for name in names if name not in desk.program.editable)
    editable = ", ".join(desk.program.editable)
    assert not foreign, f"it changed or left {', '.join(foreign)}, and may only edit {editable}"
    assert names, f"it changed nothing: a proposal is an edit of {editable}"
    assert not desk.objection(), f"its change would be refused: {desk.objection()}"
    _check_words(proposal)


def proposes_something_new(make: Make, bench: Bench) -> None:
    """After a discard, and from the new files after a keep."""
    researcher = make()
    for verdict in (Verdict.DISCARD, Verdict.KEEP, Verdict.CRASH):
        desk = bench.desk()
        proposal = _proposal(researcher, desk, bench)
        objection = desk.objection()
        assert not objection, f"as proposal {desk.number} it gave what is refused: {objection}"
        bench.finish(desk, proposal, verdict)


def goes_on_after_a_restart(make: Make, bench: Bench) -> None:
    """A researcher that was just made takes up a study; the same desk may come twice."""
    desk = bench.desk()
    bench.finish(desk, _proposal(make(), desk, bench), Verdict.DISCARD)
    for _ in range(2):
        desk = bench.desk()
        _proposal(make(), desk, bench)
        objection = desk.objection()
        assert not objection, f"made anew, it gave what is refused: {objection}"


def leaves_nothing_open(make: Make, bench: Bench) -> None:
    """A night has hundreds of proposals: descriptors must not pile up."""
    researcher, counts = make(), []
    for _ in range(3):
        desk = bench.desk()
        bench.finish(desk, _proposal(researcher, desk, bench), Verdict.DISCARD)
        gc.collect()
        counts.append(psutil.Process().num_fds())
    more = counts[-1] - counts[0]
    assert more <= 0, f"two more proposals left {more} more files or connections open"


def stops_when_told(make: Make, bench: Bench) -> None:
    """`tick` raises Stopped: at its first call, and at a later one."""
    for patience in (1, 3):
        stop = _Stop(patience)
        with suppress(Stopped), _leaving_nothing(bench):
            with suppress(Failed):
                make().propose(bench.desk(tick=stop.tick))
            assert not stop.at, "it went on although `tick` had raised Stopped"
        late = time.monotonic() - stop.at if stop.at else 0.0
        assert late < STOP_SECONDS, f"it took {late:.1f} s to stop after `tick` had raised Stopped"


def obeys_the_limit(make: Make, bench: Bench) -> None:
    """`ledger.spend` raises Spent once the money is gone, and that ends the proposal."""
    desk = bench.desk(tokens=0)
    ending: Failed | None = None
    with _leaving_nothing(bench):
        try:
            make().propose(desk)
        except Failed as error:
            ending = error
    if calls := sum(each.tokens > 0 for each in bench.ledger.usages):
        how = f"raised {type(ending).__name__}: {ending}" if ending else "made a proposal"
        assert isinstance(ending, Spent), f"`ledger.spend` had raised Spent, and it {how}"
        assert calls == 1, f"it spent {calls} times, and the first time had passed the limit"


def fails_as_it_may(make: Make, bench: Bench) -> None:
    """Where nothing usable can be had: a proposal that will be refused, or Failed, and no other."""
    for content, objection in ((b"", ""), (b"\xff\xfe\x00", ""), (None, "no change is wanted")):
        desk = bench.desk()
        if content is not None:
            for name in desk.program.editable:
                (desk.tree / name).write_bytes(content)
        if objection:
            desk = replace(desk, objection=partial(str, objection))
        try:
            with suppress(Failed), _leaving_nothing(bench):
                make().propose(desk)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"it raised {type(error).__name__} ({error}); what is expected is Failed"
            ) from error


CHECKS: tuple[Callable[[Make, Bench], None], ...] = (
    changes_only_what_is_editable,
    proposes_something_new,
    goes_on_after_a_restart,
    leaves_nothing_open,
    stops_when_told,
    obeys_the_limit,
    fails_as_it_may,
)


class _Stop:
    """A person who stops the study at a certain tick."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.at = 0.0

    def tick(self) -> None:
        self.patience -= 1
        if self.patience <= 0:
            self.at = self.at or time.monotonic()
            raise Stopped


def _proposal(researcher: Researcher, desk: Desk, bench: Bench) -> Proposal:
    try:
        with _leaving_nothing(bench):
            return researcher.propose(desk)
    except Failed as error:
        raise AssertionError(f"it has no proposal for a plain desk: {error}") from error


def _check_words(proposal: Proposal) -> None:
    words = proposal.description
    assert words.strip(), "its description is empty: say in one line what is changed"
    assert "\n" not in words.strip(), "its description has more than one line"
    size = len(words)
    assert size <= LONGEST_DESCRIPTION, f"its description has {size} characters: make it a line"
    assert proposal.hypothesis.strip(), "it states no hypothesis: say why the change should help"
    try:
        json.dumps(dict(proposal.details))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"its details cannot be stored as JSON: {error}") from error


# --- What a proposal leaves behind ------------------------------------------------------------


@contextmanager
def _leaving_nothing(bench: Bench) -> Iterator[None]:
    """Whatever happens within, the world is afterwards as it was, but for the desk."""
    before = _world(bench)
    try:
        yield
    finally:
        _check_world(before, _world(bench))
        _check_gone(before)


def _world(bench: Bench) -> Mapping[str, Any]:
    return {
        "the current folder": Path.cwd(),
        "the environment": dict(os.environ),
        "the signal handlers": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)],
        "the lab's files": {
            name: data
            for name, data in contents(bench.lab.root).items()
            if not name.startswith(".autoresearch/")
        },
        "threads": set(threading.enumerate()),
        "processes": {child.pid for child in psutil.Process().children(recursive=True)},
    }


def _check_world(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for what in ("the current folder", "the environment", "the signal handlers", "the lab's files"):
        assert before[what] == after[what], f"it changed {what}: a researcher has its desk alone"


def _check_gone(before: Mapping[str, Any]) -> None:
    """Threads and processes have a moment to end."""
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        threads = [each for each in threading.enumerate() if each not in before["threads"]]
        children = psutil.Process().children(recursive=True)
        processes = [child for child in children if child.pid not in before["processes"]]
        if not threads and not processes:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    names = [each.name for each in threads] + [f"process {each.pid}" for each in processes]
    raise AssertionError(f"it left behind what still runs: {', '.join(names)}")
