"""Protects edits as search and replace: one place or none, and a reason that helps to mend it."""

import random
import time

import pytest

from autoresearch.researchers.edits import Edit, Unfit, apply
from autoresearch.testing.tiny import TRAIN

FILES = {"train.py": TRAIN.encode(), "prepare.py": b"A = 1\n"}
NESTED = b"def f(x):\n    if x:\n        y = x\n        return y\n    return 0\n"


def edited(text: str | bytes, *edits: tuple[str, str]) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    after = apply([Edit("a.py", *each) for each in edits], {"a.py": data}, ["a.py"])
    return after["a.py"]


def reason(text: str | bytes, *edits: tuple[str, str]) -> str:
    with pytest.raises(Unfit) as caught:
        edited(text, *edits)
    return str(caught.value)


# --- Exactly ----------------------------------------------------------------------------------


def test_an_edit_replaces_the_one_place_and_nothing_else() -> None:
    after = apply([Edit("train.py", "X = 1.0", "X = 2.5")], FILES, ["train.py"])
    assert after == {"train.py": TRAIN.replace("X = 1.0", "X = 2.5").encode()}
    assert FILES["train.py"] == TRAIN.encode()


def test_edits_are_applied_one_after_the_other_over_several_files() -> None:
    files = {"a.py": b"x = 1\n", "b.py": b"y = 1\n", "c.py": b"z = 1\n"}
    edits = [
        Edit("a.py", "x = 1", "x = 2"),
        Edit("./b.py", "y = 1\n", ""),
        Edit("a.py", "x = 2", "x = 3"),
    ]
    assert apply(edits, files, files) == {"a.py": b"x = 3\n", "b.py": b""}


def test_a_search_text_that_is_there_twice_is_refused_with_the_lines() -> None:
    said = reason("x = 1\ny = 1\nx = 1\n", ("x = 1", "x = 2"))
    assert "2 times (lines 1, 3)" in said
    assert "add lines" in said
    assert "many times (lines 1, 2, 3, 4, 5, ...)" in reason("a\n" * 9, ("a", "b"))
    assert "2 times" in reason("aaa", ("aa", "b"))  # places that overlap


@pytest.mark.parametrize("name", ["prepare.py", "/etc/passwd", "../train.py", "", "Train.py"])
def test_only_editable_files_are_edited(name: str) -> None:
    with pytest.raises(Unfit, match=r"may not be edited, only train\.py") as caught:
        apply([Edit(name, "A", "B")], FILES, ["train.py"])
    assert (name or "without a name") in str(caught.value)


def test_edits_that_change_nothing_are_refused() -> None:
    assert "changes nothing" in reason("x = 1\n", ("x = 1", "x = 1"))
    assert "changes nothing" in reason("x = 1\n", ("x = 1", "x = 2"), ("x = 2", "x = 1"))
    with pytest.raises(Unfit, match="no edit"):
        apply([], FILES, ["train.py"])


def test_every_edit_that_does_not_apply_is_told() -> None:
    said = reason("x = 1\ny = 2\n", ("q", ""), ("x = 1", "x = 2"), ("", "z"))
    assert said.splitlines()[0].startswith("Edit 1 of 3 does not apply: ")
    assert "Edit 3 of 3 does not apply: its search text is empty" in said
    assert "Edit 2" not in said


def test_an_empty_file_can_be_written_and_text_in_other_coding_cannot() -> None:
    assert edited("", ("", "x = 1\n")) == b"x = 1\n"
    assert edited(" \n", (" ", "x = 1\n")) == b"x = 1\n"
    assert "not UTF-8 text (byte 1)" in reason(b"a\xff", ("a", "b"))


def test_half_a_character_becomes_a_question_mark() -> None:
    assert edited("x = 1\n", ("1", "'\ud800'")) == b"x = '?'\n"


# --- Line ends --------------------------------------------------------------------------------


def test_line_ends_stay_the_files() -> None:
    text = b"a = 1\r\nb = 2\r\nc = 3\r\n"
    after = b"a = 1\r\nb = 0\r\nd = 0\r\nc = 3\r\n"
    for end in ("\n", "\r\n"):
        assert edited(text, (f"a = 1{end}b = 2", f"a = 1{end}b = 0{end}d = 0")) == after
    assert edited(b"a\nb\n", ("a\r\nb", "a\r\nc\r\nb")) == b"a\nc\nb\n"


def test_lines_of_a_file_with_mixed_ends_are_found() -> None:
    text = b"a = 1\r\nb = 2\nc = 3\nd = 4\n"
    assert edited(text, ("a = 1\nb = 2\n", "a = 0\n")) == b"a = 0\nc = 3\nd = 4\n"


def test_a_last_line_without_an_end_stays_without_one() -> None:
    assert edited("a = 1\nb = 2", ("a = 1\nb = 2\n", "a = 1\nb = 3\n")) == b"a = 1\nb = 3"


# --- White space ------------------------------------------------------------------------------


def test_white_space_at_line_ends_and_blank_lines_around_do_not_matter() -> None:
    text = "x = 1  \ny = 2\n\nz = 3\n"
    assert edited(text, ("\nx = 1\ny = 2   \n\n", "\nx = 5\n\n")) == b"x = 5\n\nz = 3\n"
    assert edited(text, ("x = 1\ny = 2\n", "")) == b"\nz = 3\n"


@pytest.mark.parametrize("lead", ["", "  ", "            "])
def test_another_indentation_is_moved_to_the_places(lead: str) -> None:
    search = f"{lead}y = x\n{lead}return y"
    replace = f"{lead}if y:\n{lead}    y = 2\n\n{lead}return y"
    after = NESTED.replace(b"y = x\n", b"if y:\n            y = 2\n\n")
    assert edited(NESTED, (search, replace)) == after


def test_tolerance_ends_where_there_are_two_places() -> None:
    text = "if a:\n    x = 1  \n    y\nif b:\n        x = 1 \n        y\n"
    said = reason(text, ("x = 1\ny", "x = 2\ny"))
    assert "not in a.py exactly" in said
    assert "2 times (lines 2, 5)" in said
    assert edited(text, ("    x = 1\n    y", "    x = 2\n    y")).startswith(
        b"if a:\n    x = 2\n    y\nif b"
    )  # one place has this indentation


def test_indentation_within_the_lines_matters_and_tabs_are_no_spaces() -> None:
    said = reason(NESTED, ("    if x:\n    y = x\n", "pass"))
    assert "Nearest is lines 2 to 3, which reads:\n    if x:\n        y = x" in said
    assert "not in a.py" in reason("\tx = 1\n\ty\n", ("    x = 1\n    y\n", "z"))


def test_a_replacement_that_cannot_be_moved_as_far_is_refused() -> None:
    text = "a\nx = 1\ny = 2\n"
    said = reason(text, ("    x = 1\n    y = 2", "    x = 1\nz = 2"))
    assert "copy the indentation" in said


# --- Not there --------------------------------------------------------------------------------


def test_the_nearest_lines_are_shown() -> None:
    said = reason(TRAIN, ("X = 1.5  # range: 0 to 6", "X = 2"))
    assert "is not in a.py. Nearest is line 5, which reads:\nX = 1.0  # range" in said
    assert "nothing there is like it" in reason("x = 1\n", ("élan vital", "y"))
    assert "nothing there is like it" in reason("x = 1\n", ("\n".join("abcdef"), "y"))


def test_what_is_shown_is_short_and_harmless() -> None:
    lines = [f"x{i} = '\x1b[31m'" for i in range(1000)]
    said = reason("\n".join(lines), ("\n".join(lines[100:200]).replace("=", "=="), "y"))
    assert len(said.splitlines()) < 40
    assert "\x1b" not in said
    assert "x100 = ''" in said


def test_no_edit_of_any_size_hangs_the_night() -> None:
    rng = random.Random(3)
    words = ["".join(rng.choices("abc =", k=30)) for _ in range(50)]
    big = "\n".join(rng.choices(words, k=8_000))
    many = "x\n" * 100_000
    began = time.monotonic()
    for text, search in (
        (many, "x\n" * 50_000 + "y"),
        (many, "  x\n" * 50_000),
        ("a" * 250_000, "a" * 125_000),
        (big, big[1000:20_000].replace("a", "b")),
        ("x = 1\n", "z" * 10_000_000),
    ):
        reason(text, (search, "y"))
    assert time.monotonic() - began < 60  # a comparison line by line would take hours
