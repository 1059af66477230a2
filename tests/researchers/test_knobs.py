"""Protects the built-in researcher: it edits only what it says, learns, avoids crashes, resumes."""

import json
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autoresearch.errors import Failed, UserError
from autoresearch.experiment import Experiment, Proposal, Run, Verdict, incumbent
from autoresearch.program import Program
from autoresearch.researchers.base import Desk
from autoresearch.researchers.knobs import Knobs
from autoresearch.source.constants import find_constants, rewrite
from autoresearch.source.literals import Scalar

Objective = Callable[[Mapping[str, Scalar]], float | Verdict]

FOUR = "LR = 0.02\nDECAY = 0.1\nBATCH = 64\nMOMENTUM = 0.9\n"
SCRIPT = (
    '"""A script. größe"""\r\n'
    "import os\r\n\r\n"
    'NAME = "é"; LR = 0.02   # range: 0.001 to 0.1, log\r\n'
    "MATRIX_LR=1e-3\r\n"
    "TOTAL_BATCH: int = 2**14  # tokens 🙂\r\n"
    "WIDTH = (\r\n    3 * 128  # é\r\n)\r\n"
    "BETA1 = 0.9\r\n"
    'ACT = "relu"  # one of: relu, gelu\r\n'
    "TIED = True\r\n"
    "DEPTH = 4\r\n"
    "SEED = 1\r\n"
    "CAP = 15.0  # fixed\r\n"
    "TWICE = 1\r\nTWICE = 2\r\n\r\n"
    "def main():\r\n    return LR * 0.02\r\n"
)


def values(source: str) -> dict[str, Scalar]:
    return {name: constant.value for name, constant in find_constants(source).items()}


def quadratic(knobs: Mapping[str, Scalar]) -> float:
    """Four knobs, each of which has its best value within its range: 0 there."""
    lr, decay, momentum = (float(knobs[name]) for name in ("LR", "DECAY", "MOMENTUM"))
    terms = (math.log(lr / 0.05), math.log(decay / 0.04), math.log((1 - momentum) / 0.04))
    return sum(term**2 for term in terms) + (math.log2(float(knobs["BATCH"])) - 7) ** 2


@dataclass
class Night:
    """A study without a lab: a script, an objective, and the greedy loop over a real desk."""

    tree: Path
    source: str
    objective: Objective
    program: Program = field(default_factory=Program)
    seed: int = 0
    history: list[Experiment] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources = [self.source]
        self.finish(Experiment(0, None, "", commit="c"))

    @property
    def script(self) -> Path:
        return self.tree / "train.py"

    @property
    def best(self) -> Experiment:
        best = incumbent(self.history, lower=self.program.direction == "lower")
        assert best is not None
        return best

    def finish(self, experiment: Experiment) -> None:
        result = self.objective(values(self.sources[experiment.number]))
        if isinstance(result, Verdict):
            self.history.append(replace(experiment, verdict=result))
            return
        best = incumbent(self.history, lower=self.program.direction == "lower")
        is_better = best is None or best.score is None or self.program.is_better(result, best.score)
        verdict = Verdict.KEEP if is_better else Verdict.DISCARD
        self.history.append(replace(experiment, verdict=verdict, score=result))

    def desk(self) -> Desk:
        self.script.write_bytes(self.sources[self.best.number].encode())
        number, history = len(self.history), tuple(self.history)
        return Desk(self.tree, self.program, history, self.best, number, self.seed + number)

    def propose(self, researcher: Knobs) -> Proposal:
        """A proposal, after a trip through JSON such as the store makes."""
        proposal = researcher.propose(self.desk())
        return replace(proposal, details=json.loads(json.dumps(dict(proposal.details))))

    def step(self, researcher: Knobs) -> Experiment:
        parent, proposal = self.best.number, self.propose(researcher)
        self.sources.append(self.script.read_bytes().decode())
        self.finish(
            Experiment(
                len(self.history),
                parent,
                "",
                description=proposal.description,
                hypothesis=proposal.hypothesis,
                details=proposal.details,
            )
        )
        return self.history[-1]

    def by_hand(self, changes: dict[str, str]) -> None:
        """An experiment of a person's, from the incumbent: it leaves no details."""
        parent = self.best.number
        self.sources.append(rewrite(self.sources[parent], changes))
        self.finish(Experiment(len(self.history), parent, "", description="by hand"))

    def run(self, researcher: Knobs, experiments: int) -> None:
        for _ in range(experiments):
            self.step(researcher)


def restored(source: str, description: str) -> str:
    """The source with the change that a description tells undone, word for word."""
    undo = {}
    for change in description.split(", "):
        name, rest = change.split(" ", 1)
        undo[name] = rest.split(" -> ")[0]
    return rewrite(source, undo)


def flat(_: Mapping[str, Scalar]) -> float:
    return 1.0


# --- The edit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["tpe", "random"])
def test_an_edit_changes_the_literals_that_the_description_names_and_nothing_else(
    tmp_path: Path, mode: str
) -> None:
    rng = random.Random(7)
    night = Night(tmp_path, SCRIPT, lambda _: rng.random())
    for _ in range(40):
        parent = night.sources[night.best.number]
        experiment = night.step(Knobs(mode))
        after = night.sources[-1]
        assert after != parent
        assert restored(after, experiment.description) == parent
        before, now = values(parent), values(after)
        named = [change.split()[0] for change in experiment.description.split(", ")]
        assert named == [name for name in now if now[name] != before[name]]
        assert 1 <= len(named) <= 3
        assert [type(each) for each in now.values()] == [type(each) for each in before.values()]
        compile(after, "train.py", "exec")
    turned = {name for each in night.history for name in each.details.get("knobs", {})}
    assert turned == {"LR", "MATRIX_LR", "TOTAL_BATCH", "WIDTH", "BETA1", "ACT", "TIED", "DEPTH"}


def test_descriptions_and_hypotheses_are_plain(tmp_path: Path) -> None:
    night = Night(tmp_path, SCRIPT, flat)
    night.run(Knobs(), 30)
    said = "\n".join(each.description for each in night.history)
    assert "TOTAL_BATCH 2**14 -> 2**1" in said
    assert "MATRIX_LR 1e-3 -> " in said
    assert 'ACT "relu" -> "gelu"' in said
    assert "WIDTH 3 * 128 -> " in said
    assert "TIED True -> False" in said
    thought = {each.hypothesis for each in night.history}
    assert "Turning TIED off may give a lower val_bpb." in thought
    assert "Setting ACT to gelu may give a lower val_bpb." in thought
    assert thought & {
        "Raising LR may give a lower val_bpb.",
        "Lowering LR may give a lower val_bpb.",
    }


def test_no_configuration_is_proposed_twice(tmp_path: Path) -> None:
    night = Night(tmp_path, "A = 1\nB = True\nC = 4  # one of: 3, 4\n", flat)
    night.run(Knobs(), 11)
    seen = [tuple(values(source).values()) for source in night.sources]
    assert len(set(seen)) == 12
    with pytest.raises(Failed, match=r"the 3 knobs of train\.py have been tried"):
        night.step(Knobs())
    assert night.script.read_text() == "A = 1\nB = True\nC = 4  # one of: 3, 4\n"


# --- The search -------------------------------------------------------------------------------


def best_after(tree: Path, mode: str, seed: int, program: Program, sign: int = 1) -> float:
    night = Night(tree, FOUR, lambda knobs: sign * quadratic(knobs), program, seed * 1000)
    night.run(Knobs(mode), 60)
    assert night.best.score is not None
    return sign * night.best.score


def test_tpe_finds_the_bottom_of_a_quadratic_and_beats_random(tmp_path: Path) -> None:
    start = quadratic(values(FOUR))
    tpe = [best_after(tmp_path, "tpe", seed, Program()) for seed in range(3)]
    blind = [best_after(tmp_path, "random", seed, Program()) for seed in range(3)]
    assert statistics.median(tpe) < 0.05 * start
    assert statistics.median(tpe) < statistics.median(blind)


def test_a_higher_score_may_be_the_better_one(tmp_path: Path) -> None:
    found = best_after(tmp_path, "tpe", 1, Program(direction="higher"), sign=-1)
    assert found == best_after(tmp_path, "tpe", 1, Program())


def test_a_region_that_crashes_is_avoided(tmp_path: Path) -> None:
    """The best learning rate lies beyond the edge: the score alone would draw it over."""

    def fragile(knobs: Mapping[str, Scalar]) -> float | Verdict:
        return Verdict.CRASH if float(knobs["LR"]) > 0.02 else quadratic(knobs)

    def crashes(mode: str, seed: int) -> int:
        night = Night(tmp_path, FOUR, fragile, seed=seed * 1000)
        night.run(Knobs(mode), 45)
        return sum(each.verdict is Verdict.CRASH for each in night.history[15:])

    careful, blind = (sum(crashes(mode, seed) for seed in range(4)) for mode in ("tpe", "random"))
    assert careful < 0.5 * blind


def test_a_knob_that_never_broke_anything_is_not_avoided(tmp_path: Path) -> None:
    """One crash of one knob must not keep the others, or that one's other side, from use."""
    night = Night(tmp_path, FOUR, lambda knobs: Verdict.CRASH if float(knobs["LR"]) > 0.02 else 1.0)
    night.run(Knobs(), 40)
    later = [each for each in night.history[20:] if each.verdict is Verdict.DISCARD]
    turned = {
        name
        for each in later
        for name, value in each.details["knobs"].items()
        if value != each.details["from"][name]
    }
    assert turned == {"LR", "DECAY", "BATCH", "MOMENTUM"}


@pytest.mark.parametrize("verdict", [Verdict.CRASH, Verdict.TIMEOUT, Verdict.INVALID])
def test_a_night_of_nothing_but_failures_goes_on(tmp_path: Path, verdict: Verdict) -> None:
    night = Night(tmp_path, FOUR, lambda knobs: 1.0 if knobs == values(FOUR) else verdict)
    night.run(Knobs(), 15)
    assert {each.verdict for each in night.history[1:]} == {verdict}


def test_early_steps_are_small_and_mostly_single(tmp_path: Path) -> None:
    single = 0
    for seed in range(20):
        night = Night(tmp_path, FOUR, flat, seed=seed)
        proposal = night.propose(Knobs())
        single += "," not in proposal.description
        assert 0.01 <= float(proposal.details["knobs"]["LR"]) <= 0.04
    assert single >= 12


# --- Memory -----------------------------------------------------------------------------------


def test_the_same_history_and_seed_give_the_same_proposal(tmp_path: Path) -> None:
    night = Night(tmp_path, FOUR, quadratic)
    researcher = Knobs()
    night.run(researcher, 25)
    again = night.propose(researcher)
    assert night.propose(researcher) == again
    assert night.propose(Knobs()) == again
    night.seed += 1
    assert night.propose(researcher) != again


def test_a_study_that_is_resumed_at_any_point_ends_the_same(tmp_path: Path) -> None:
    whole, broken = Night(tmp_path, FOUR, quadratic), Night(tmp_path, FOUR, quadratic)
    researcher = Knobs()
    whole.run(researcher, 20)
    for _ in range(20):
        broken.step(Knobs())  # nothing but the history is carried over
    assert whole.history == broken.history
    assert whole.sources == broken.sources


def test_another_process_proposes_the_same(tmp_path: Path) -> None:
    here = Night(tmp_path, SCRIPT, flat).propose(Knobs())
    code = (
        "import sys; from pathlib import Path\n"
        "from autoresearch.experiment import Experiment, Verdict\n"
        "from autoresearch.program import Program\n"
        "from autoresearch.researchers.base import Desk\n"
        "from autoresearch.researchers.knobs import Knobs\n"
        "base = Experiment(0, None, '', commit='c', verdict=Verdict.KEEP, score=1.0)\n"
        "desk = Desk(Path(sys.argv[1]), Program(), (base,), base, 1, 1)\n"
        "print(Knobs().propose(desk).description)\n"
    )
    (tmp_path / "train.py").write_bytes(SCRIPT.encode())
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here.description
    assert done.stderr == ""


def test_a_person_may_move_a_constant_out_of_its_range(tmp_path: Path) -> None:
    night = Night(tmp_path, FOUR, lambda knobs: -float(knobs["LR"]))
    night.run(Knobs(), 12)
    night.by_hand({"LR": "5.0"})
    assert night.best.description == "by hand"
    night.run(Knobs(), 12)
    tried = [float(each.details["knobs"]["LR"]) for each in night.history[14:]]
    assert 5.0 in tried  # while other knobs are turned
    assert max(tried) > 5.0


def test_a_person_may_rename_remove_and_add_constants_meanwhile(tmp_path: Path) -> None:
    night = Night(tmp_path, FOUR, flat)
    night.run(Knobs(), 14)
    mended = "RATE = 0.5\nMOMENTUM = 0.5\nBATCH = 96\nWIDTH = 3\nDECAY = 'none'\n"
    night.sources[night.best.number] = mended
    for _ in range(14):
        experiment = night.step(Knobs())
        assert restored(night.sources[-1], experiment.description) == mended
        assert set(experiment.details["knobs"]) == {"RATE", "MOMENTUM", "BATCH", "WIDTH"}


def test_the_work_of_others_in_the_history_is_passed_over(tmp_path: Path) -> None:
    night = Night(tmp_path, FOUR, quadratic)
    odd: list[dict[str, object]] = [{}, {"knobs": 3, "from": None}, {"knobs": {"LR": [1]}}]
    for details in odd:
        other = Experiment(len(night.history), 0, "", score=math.nan, details=details)
        night.history.append(replace(other, verdict=Verdict.DISCARD))
        night.sources.append(FOUR)
    night.run(Knobs(), 15)
    assert night.best.number > 3


def test_the_first_knobs_of_the_study_anchor_the_ranges(tmp_path: Path) -> None:
    """The incumbent may drift to the end of the range, and no further."""
    night = Night(tmp_path, "LR = 0.02\n", lambda knobs: -float(knobs["LR"]))
    night.run(Knobs(), 25)
    assert night.best.score == pytest.approx(-0.08, rel=0.15)
    assert min(-each.score for each in night.history if each.score) >= 0.005
    assert max(-each.score for each in night.history if each.score) <= 0.08


# --- The desk ---------------------------------------------------------------------------------


def on_desk(tree: Path, *editable: str) -> Desk:
    base = Experiment(0, None, "", verdict=Verdict.KEEP, score=1.0)
    return Desk(tree, Program(editable=editable), (base,), base, 1, 1)


def test_the_first_script_that_has_knobs_is_edited(tmp_path: Path) -> None:
    sources = {"notes.txt": "A = 1\n", "a.py": "NAME = 'x'\n", "b.py": "A = 1\n", "c.py": "B = 1\n"}
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    proposal = Knobs().propose(on_desk(tmp_path, "missing.py", *sources))
    assert proposal.description.startswith("A 1 -> ")
    changed = [name for name in sources if (tmp_path / name).read_text() != sources[name]]
    assert changed == ["b.py"]


def test_a_knob_that_the_script_chooses_starts_from_what_ran(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("WIDTH = None\nNAME = None\n")
    config = {"WIDTH": 192, "NAME": ["x"]}
    desk = on_desk(tmp_path, "train.py")
    parent = replace(desk.parent, runs=(Run(0, 0, "scored", "", config=config),))
    proposal = Knobs().propose(replace(desk, parent=parent, history=(parent,)))
    assert proposal.description.startswith("WIDTH 192 -> ")
    new = values((tmp_path / "train.py").read_text())
    assert new == proposal.details["knobs"]
    assert proposal.details["from"] == {"WIDTH": 192}


def test_what_the_script_guessed_is_turned_first_and_down(tmp_path: Path) -> None:
    source = "LR = 0.02\nDEPTH = None  # range: 1 to 8\nROWS = None  # range: 8 to 64, power of 2\n"
    (tmp_path / "train.py").write_text(source)
    desk = on_desk(tmp_path, "train.py")
    config = {"DEPTH": 2, "ROWS": 32}
    history = (replace(desk.parent, runs=(Run(0, 0, "scored", "", config=config),)),)
    turned = []
    for number in (1, 2, 3):
        (tmp_path / "train.py").write_text(source)
        desk = replace(desk, parent=history[0], history=history, number=number, seed=number)
        proposal = Knobs().propose(desk)
        turned.append(proposal.description)
        row = replace(
            history[0], number=number, parent=0, verdict=Verdict.DISCARD, score=9.0,
            details=proposal.details,
        )  # fmt: skip
        history = (*history, row)
    assert sorted(turned[:2]) == ["DEPTH 2 -> 1", "ROWS 32 -> 16"]
    assert turned[2] not in turned[:2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"x = 1\n", r"no knobs in train\.py: give the script constants in CAPITALS"),
        (b"A = 1\nB = (\n", r"train\.py line 2 cannot be parsed"),
        (b"A = '\xff'\n", r"train\.py is not UTF-8 text \(byte 5\)"),
    ],
)
def test_a_script_without_knobs_fails_in_one_sentence(
    tmp_path: Path, source: bytes, message: str
) -> None:
    (tmp_path / "train.py").write_bytes(source)
    with pytest.raises(Failed, match=message):
        Knobs().propose(on_desk(tmp_path, "train.py"))
    assert (tmp_path / "train.py").read_bytes() == source


def test_a_link_out_of_the_desk_is_not_followed(tmp_path: Path) -> None:
    desk, outside = tmp_path / "desk", tmp_path / "outside.py"
    desk.mkdir()
    outside.write_text("A = 1\n")
    (desk / "train.py").symlink_to(outside)
    with pytest.raises(Failed):
        Knobs().propose(on_desk(desk, "train.py"))
    assert outside.read_text() == "A = 1\n"


def test_a_knob_is_left_alone_while_it_changes_nothing(tmp_path: Path) -> None:
    source = "LR = 0.02\nDEPTH = {}  # range: 1 to 2\nEVERY = 2  # range: 1 to 4; if DEPTH > 1\n"
    turned = {}
    for depth in (1, 2):
        night = Night(tmp_path, source.format(depth), flat)
        night.run(Knobs(), 12)
        names = (name for each in night.history for name in each.description.split())
        turned[depth] = {name for name in names if name.isalpha() and name.isupper()}
    assert turned == {1: {"LR", "DEPTH"}, 2: {"LR", "DEPTH", "EVERY"}}


def test_an_unknown_mode_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="write `tpe` or `random`"):
        Knobs("grid")


def test_the_real_script_has_knobs_and_every_proposal_still_parses(tmp_path: Path) -> None:
    lab = Path(__file__).parents[2] / "src/autoresearch/labs/gpt/train.py"
    night = Night(tmp_path, lab.read_bytes().decode(), flat)
    for _ in range(8):
        experiment = night.step(Knobs())
        compile(night.sources[-1], "train.py", "exec")
        assert restored(night.sources[-1], experiment.description) == night.source


def test_in_the_evening_it_says_what_it_turns_and_what_it_cannot_read(tmp_path: Path) -> None:
    assert Knobs().check(tmp_path) == []
    lines = [f"K{n} = {n}.5" for n in range(10)]
    lines += ["A = None", "B = 0.1  # range: a lot", "C = 'x'", "D = 3  # fixed"]
    (tmp_path / "src").mkdir()
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "src" / "train.py").write_text("\n".join(lines))
    turned, unread = Knobs().check(tmp_path)
    assert turned == (
        "knobs turns 11 constants of train.py: K0, K1, K2, K3, K4, K5, K6, K7 and 3 more; "
        "1 written None, and turned where a run tells what they came to"
    )
    assert unread == (
        "knobs: a hint is left out: B: `range: a lot` is not understood: "
        "write `range: 0.001 to 0.1, log`"
    )
