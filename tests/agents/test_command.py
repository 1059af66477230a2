"""Protects nights with a program that edits files: a shell script with every fault there is."""

import shlex

import pytest

from tests.agents.night import INJECTION
from tests.agents.whole import WholeNight, spend

SCRIPT = r"""
number=$(grep -o 'yours is number [0-9]*' "$1" | grep -o '[0-9]*$')
told=$(grep -c 'would be refused:' "$1")
x() {
    sed -i "s/^X = [0-9.]*/X = $1/" train.py
    printf 'Description: X to %s\nHypothesis: 3 is best\nExpected: -1\n' "$1"
}
easier() { chmod 644 prepare.py; sed -i 's/ + 1$/ + 0/' prepare.py; echo "done: $?"; }
case $number in
1) if [ "$told" = 0 ]; then echo 'I could raise X. Shall I?'; else x 2.0; fi ;;
2) x 5.9 ;;
3) if [ "$told" = 0 ]; then easier; else x 2.4; fi ;;
4) sed -i 's/^    harness, budget/    raise SystemExit("INJECTION")\n&/' train.py ;;
5) if [ -e mark ]; then grep -q 'INJECTION' history/0004.md && x 2.9
   else touch mark; kill -9 $$; fi ;;
6) echo 'Error: 429 Too Many Requests'; exit 1 ;;
7) echo 'HTTP 500: internal server error'; exit 1 ;;
8) sleep 60 & sleep 60 ;;
9) yes 'blah blah' ;;
10) kill -9 $$ ;;
11) echo 'I would rather talk.' ;;
12) sed -i 's/^if __name__/X = 3.0\n&/' train.py; x 3.0 ;;
esac
"""
ASKS, BAD, EASY, SPEAKS, DIES, LAST = 1, 2, 3, 4, 5, 12


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> WholeNight:
    folder = tmp_path_factory.mktemp("command")
    script = folder / "agent.sh"
    script.write_text(SCRIPT.replace("INJECTION", INJECTION))
    return spend(f"cmd: sh {shlex.quote(str(script))} {{prompt}}", folder, LAST)


def test_good_and_bad_ideas_get_their_verdicts(night: WholeNight) -> None:
    verdicts = [str(row.verdict) for row in night.rows[1 : DIES + 1]]
    assert verdicts == ["keep", "discard", "keep", "crash", "keep"]
    assert night.rows[ASKS].description == "X to 2.0"
    assert "3 is best" in night.rows[ASKS].hypothesis
    assert night.rows[DIES].score == pytest.approx(1.01)


def test_a_question_is_answered_by_go_on(night: WholeNight) -> None:
    assert "nudged: sh: the proposal changes nothing" in night.happened(ASKS)
    assert "Shall I?" in night.talk(ASKS)


def test_an_edit_of_a_locked_file_does_not_count(night: WholeNight) -> None:
    """In a box it cannot even be made; without one it is refused."""
    assert "nudged: " in night.happened(EASY)
    assert night.rows[EASY].score == pytest.approx((2.4 - 3) ** 2 + 1)


def test_a_crash_of_the_program_is_survived(night: WholeNight) -> None:
    assert "restarted: " in night.happened(DIES)


def test_every_fault_is_on_record_and_the_night_goes_on(night: WholeNight) -> None:
    for number, why in (
        (6, "rate limit"), (7, "server error"), (8, "hangs"), (10, "exit code 137, twice")
    ):  # fmt: skip
        assert "unavailable: " in night.happened(number), (number, night.events)
        assert why in night.happened(number)
        assert night.rows[number].researcher == "knobs"
        assert night.rows[number].score is not None
    assert "printed more than 4 MB" in night.rows[9].reason
    assert night.rows[11].verdict == "failed"
    assert night.rows[LAST].score == pytest.approx(1.0)
