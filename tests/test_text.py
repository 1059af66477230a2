"""Protects whoever reads what an experiment wrote: nothing steers a terminal, nothing hides."""

import sys
import unicodedata

import pytest

from autoresearch.text import clean, clean_line, digits_for, part_of, plain, short, visible

# ---------------------------------------------------------------------------------------------
# Escape sequences


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hhome", "home"),
        ("\x1b[?25lno cursor", "no cursor"),
        ("\x1b[38:2::1:2:3mcolour", "colour"),
        ("\x1b(B\x1b[mreset", "reset"),
        ("a\x1bMb\x1b\\c", "abc"),
        ("\x1b[not ended", "ot ended"),  # ends with the n, as a terminal sees it
        ("\x1b[3\n1m", "[3\n1m"),
        ("\x1b\x1b[31m[32m", "[32m"),
        ("the end\x1b", "the end"),
    ],
)
def test_escape_sequences_go_whole(text: str, left: str) -> None:
    assert clean(text) == left


@pytest.mark.parametrize("end", ["\x07", "\x1b\\", "\x9c"])
def test_a_command_string_that_ends_on_its_line_goes_whole(end: str) -> None:
    assert clean(f"a\x1b]0;title{end}b") == "ab"
    link = f"\x1b]8;;https://example.org{end}words\x1b]8;;{end}"
    assert clean(f"see {link} there") == "see words there"
    assert clean(f"\x1b]52;c;aGVsbG8={end}") == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\x1b]0;title\nval_bpb: 1.5\n", "a]0;title\nval_bpb: 1.5\n"),
        ("a\x1b]0;title\nb\x07c", "a]0;title\nbc"),  # ends, but on another line
        ("a\x1b]0;title\rb\x07c", "a]0;titlebc"),
        ("a\x1b]0;\x1b[31mb\x07c", "a]0;bc"),
        ("a\x1b]", "a]"),
    ],
)
def test_a_command_string_without_an_end_swallows_nothing(text: str, left: str) -> None:
    assert clean(text) == left


def test_the_other_strings_of_a_terminal_swallow_nothing() -> None:
    for opening in ("\x1bP", "\x1bX", "\x1b^", "\x1b_", "\x90", "\x98", "\x9d", "\x9e", "\x9f"):
        assert clean(f"a{opening}words\nmore") == "awords\nmore"


def test_what_is_left_never_makes_a_new_sequence() -> None:
    for text in ("\x1b\x00[31m", "\x1b\u202e]0;x\x07", "\x1b\x1b]0;x\x07]0;y\x07", "\x9b\x1b[m31m"):
        assert "\x1b" not in clean(text)
        assert clean(clean(text)) == clean(text)


# ---------------------------------------------------------------------------------------------
# Characters


@pytest.mark.parametrize("number", [*range(0x20), *range(0x7F, 0xA0)])
def test_control_characters_go_and_lines_stay_lines(number: int) -> None:
    left = f"a{chr(number)}b" if chr(number) in "\n\t" else "ab"
    assert clean(f"a{chr(number)}b") == left


def test_nothing_that_hides_is_left() -> None:
    """Every character of these kinds: direction overrides, NUL and lone surrogates are some."""
    kinds = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    hidden = [
        each
        for each in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(each) in kinds and each not in "\n\t"
    ]
    assert {"\x00", "\u061c", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800"} <= set(hidden)
    assert [each for each in hidden if clean(each)] == []
    assert clean(f"a{''.join(hidden)}b") == "ab"
    assert clean("a\ufffe\uffff\ufdd0b") == "ab"  # no characters at all: XML refuses them


def test_letters_that_draw_nothing_go_too() -> None:
    assert clean("x\u3164\u115f\u1160\uffa0\u034fy") == "xy"


def test_other_text_is_left_alone() -> None:
    for text in (
        "naïve café",
        "e\u0301 n\u0303",
        "漢字かな",
        "עברית العربية",
        "ไทย हिन्दी",
        "→ ≤ ∞",
    ):
        assert clean(text) == text
    assert clean("a\tb\r\nc\n\n  d") == "a\tb\nc\n\n  d"


@pytest.mark.parametrize(
    "emoji",
    [
        "🚀",
        "❤\ufe0f",
        "☎\ufe0e",
        "1\ufe0f\u20e3",
        "👍🏽",
        "👩\u200d💻",
        "👩🏽\u200d🚀",
        "🏳\ufe0f\u200d🌈",
        "❤\ufe0f\u200d🔥",
        "👨\u200d👩\u200d👧\u200d👦",
        "🇳🇱",
    ],
)
def test_emoji_stay_whole(emoji: str) -> None:
    assert clean(f"a {emoji}b") == f"a {emoji}b"
    assert plain(emoji) == clean_line(emoji) == visible(emoji) == emoji


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("pass\u200dword", "password"),
        ("👩\u200dx", "👩x"),
        ("x\u200d👩", "x👩"),
        ("👩\u200d\u200d💻", "👩💻"),
        ("👩\u202e\u200d💻", "👩💻"),
        ("👩\u200d", "👩"),
        ("a\ufe0fb", "ab"),
        ("🚀\ufe0f\ufe0f\ufe0e", "🚀\ufe0f"),
        ("🚀\ufe00\U000e0101\U000e01ef", "🚀"),  # bytes can be written in these
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴"),  # tags: a flag, or a whole hidden message
    ],
)
def test_what_holds_an_emoji_together_hides_nothing_elsewhere(text: str, left: str) -> None:
    assert clean(text) == left


# ---------------------------------------------------------------------------------------------
# One line


def test_one_line_is_one_line() -> None:
    text = " a\tb\nc\r\nd\x0be\x0cf\x1cg\x85h\u2028i\u2029j\u00a0 k "
    assert plain(text) == clean_line(text) == "a b c d e f g h i j k"
    assert plain("a \x00 b") == "a b"


def test_words_keep_no_control_characters() -> None:
    assert plain("\x1b[1;31mred\x1b[0m\n\tand\r\n\u202eblue\x00\x85\u200b") == "red and blue"
    assert plain("a\u2028b\x9b31m") == "a b31m"


def test_a_command_string_ends_on_its_line_or_not_at_all_also_on_one_line() -> None:
    assert plain("a\x1b]0;title\nb\x07c") == "a]0;title bc"
    assert plain("a\x1b]0;title\x07c") == "ac"


def test_a_long_line_is_cut_at_a_word() -> None:
    words = "halve batch 524K to 262K (more steps in five minutes of training)"
    assert clean_line(words, 40) == "halve batch 524K to 262K (more steps in…"
    assert clean_line("x" * 50, 40) == "x" * 39 + "…"
    assert clean_line("short", 40) == "short"
    assert clean_line("x" * 300) == "x" * 300
    assert clean_line("x" * 301) == "x" * 299 + "…"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 40, 300])
def test_a_cut_line_is_never_longer_than_its_limit(limit: int) -> None:
    for text in ("x" * 400, "ab " * 200, ", " * 200, "👩\u200d💻" * 150, "e\u0301" * 200):
        line = clean_line(text, limit)
        assert len(line) <= limit
        assert clean_line(line, limit) == line  # no half of an emoji's joiner is left


# ---------------------------------------------------------------------------------------------
# Lines whose every character counts


def test_what_hides_in_a_line_of_code_is_marked() -> None:
    assert visible("a\r\n\tb\u202ec\x1b[31m\n") == "a\n\tb\ufffdc\ufffd[31m\n"
    assert visible("if x\u3164 == 'a\u200db':") == "if x\ufffd == 'a\ufffdb':"
    assert visible("\x1b]0;title\x07\rb") == "\ufffd]0;title\ufffd\ufffdb"


# ---------------------------------------------------------------------------------------------
# Size


@pytest.mark.parametrize(
    "part",
    ["\x1b]", "\x1b]0;aaaa", "\x1b[0000", "\x1b[", "👩\u200d", "\u202e", "x = 1\n", "0" * 99, " "],
)
def test_a_megabyte_of_anything_is_cleaned_at_once(part: str) -> None:
    """No pattern takes more than one look at each character: these would take hours if one did."""
    text = part * (2**20 // len(part))
    assert len(clean("\x1b[" + text)) <= len(text) + 1


# ---------------------------------------------------------------------------------------------
# Scores


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (0.969686, None, "+0.9697"),
        (-0.00003, 0.969686, "-0.0000"),
        (95.12345, None, "+95.1235"),
        (0.0, None, "+0.0000"),
        (3.1e-9, None, "+3.1e-09"),
        (-2.05e-9, 1.05e-9, "-2.05e-09"),
        (-1e-9, 0.0, "-1e-09"),
    ],
)
def test_a_small_score_does_not_vanish(value: float, like: float | None, text: str) -> None:
    assert short(value, like=like, sign="+") == text


@pytest.mark.parametrize(
    ("one", "other", "digits"),
    [(1.5, 1.4, 5), (1.5, 1.5, 5), (1.0, 1 - 1e-7, 8), (1.0, 1 + 2**-52, 17)],
)
def test_two_scores_are_told_apart(one: float, other: float, digits: int) -> None:
    assert digits_for(one, other, 5) == digits


def test_a_part_is_read_without_powers_of_ten() -> None:
    found = [part_of(*each) for each in ((1, 23), (-9.99, 1), (9.996, 1), (29.4, -2.3), (1, 0))]
    assert found == ["4.35%", "999%", "10 times", "12.8 times", ""]
    assert [part_of(1, 1e-12), part_of(0, 5), part_of(999.4, 1)] == ["", "0%", "999 times"]
