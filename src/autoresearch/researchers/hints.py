"""Where a knob is searched: the hint in the comment behind a constant, else its name and value.

    DEPTH = 4           # one of: 2, 4, 6, 8
    MATRIX_LR = 0.02    # Muon's; range: 0.005 to 0.1, log
    WINDOW = 128        # range: 32 to 1024, power of 2
    WIDTH = 192         # range: 64 to 2048, multiple of 64
    SOFTCAP = 15.0      # fixed
    NGRAM_LR = 0.1      # range: 0.02 to 0.5, log; if NGRAM_ROWS > 0

The last leaves a constant alone where it changes nothing: as long as another, compared with a
number or a word, is not so (`if IS_DEEP`: as long as that is off). `choices: 2 | 4 | 8`,
`range: [0.001, 0.1]` and `range: 0.001..0.1` are understood, too.

Without a hint a constant is searched around the value that it had when the study began, so that the
space stays the same while the incumbent moves: positive floats over a factor of 16, shares (ratio,
dropout, momentum, ...) inside [0, 1), whatever lies in [0.9, 1) by its distance from 1, powers of
two by their exponent, other integers over a factor of 4, bools both ways. Strings, negative
integers, and names that tell of no model are left alone: seeds, classes, vocabulary, workers, how
often something is logged.
"""

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import replace

from autoresearch.researchers.space import Choice, Range, Scale, Space
from autoresearch.source.constants import Constant
from autoresearch.source.literals import Scalar, evaluate, is_power_of_two

_FIXED = re.compile(r"(?:^|[;,.(])\s*fixed\b", re.IGNORECASE)
_ONE_OF = re.compile(r"\b(?:one of|choices|options):([^;)]+)", re.IGNORECASE)
_PLAIN = r"[-+]?(?:\d[\d_]*\*\*\d+|(?:\d[\d_]*(?:\.(?!\.)\d*)?|\.\d+)(?:e[-+]?\d+)?)"
_LOG = r"(\s*[,(]?\s*log\b)?"
_RANGES = (
    re.compile(rf"\brange:\s*(\S+)\s+to\s+([^\s,;)]+){_LOG}", re.IGNORECASE),
    re.compile(
        rf"\brange:?\s*[\[(]?\s*({_PLAIN})\s*(?:\.\.+|,|to|\s-\s)\s*({_PLAIN})\s*[\])]?{_LOG}",
        re.IGNORECASE,
    ),
)
_MEANT = re.compile(r"\b(?:range|one of|choices|options):", re.IGNORECASE)
_POWER = re.compile(r"\bpowers? of (?:2|two)\b", re.IGNORECASE)
_MULTIPLE = re.compile(r"\bmultiples? of ([1-9]\d*)\b", re.IGNORECASE)
_IF = r"(?:^|[;,.(])\s*if ([A-Z][A-Z0-9_]*)\b"
_CONDITION = re.compile(
    _IF + r"(?:\s*([<>]=?|[!=]=)\s*(-?\d[\d.]*\b|\w+|'[^']*'|\"[^\"]*\"))?\s*(?:[;,.)]|$)"
)
_COMPARED = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_ITEM = re.compile(r"""\s*("[^"]*"|'[^']*'|(?:(?!\sor\s)[^,|])+)(?:\sor\s)?""")
_BARE_WORD = re.compile(r"[\w.+/-]*\w")
_LEFT_ALONE = re.compile(
    r"\b(seeds?|port|version|classes|vocab|vocabulary|workers|threads|verbose)\b|"
    r"\b(log|eval|val|save|print|report|checkpoint)\b.*\b(every|interval|steps?|freq|frequency)\b"
)
_COUNT = re.compile(r"\b(depth|layers?|blocks)\b")  # 4 layers may well become 5
_SHARE = re.compile(r"\b(ratio|frac|fraction|share|betas?\d*|momentum|prob|probability|dropout)\b")
_TINY = 1e-30  # below it a float counts as zero


def space_of(constant: Constant, start: Scalar) -> Space | None:
    """Where a constant is searched, given its value at the study's start; None leaves it alone."""
    space = _space(constant, start)
    return None if space is None or space.is_single else space


def _space(constant: Constant, start: Scalar) -> Space | None:
    value, comment = constant.value, constant.comment
    if _FIXED.search(comment):
        return None
    if match := _ONE_OF.search(comment):
        choices = _choices(match[1], value)
        return Choice(choices) if choices else None
    if isinstance(value, str):
        return None
    if isinstance(value, bool):
        return Choice((False, True))
    if isinstance(start, bool | str) or type(start) is not type(value):
        start = value
    if constant.unit > 1 and start % constant.unit:
        start = value
    if hinted := _hinted(constant, start):
        return hinted
    is_left = _LEFT_ALONE.search(_words(constant.name))
    return None if is_left else _inferred(constant, value, start)


def misread(constant: Constant) -> str:
    """What of a constant's hint is not understood, for the person; "" where all is."""
    comment, name = constant.comment, constant.name
    if _FIXED.search(comment):
        return ""
    if match := _ONE_OF.search(comment):
        items = [item for item in map(_stripped, _ITEM.findall(match[1])) if item]
        lost = [item for item in items if _choice(item, constant.value) is None]
        if lost or not items:
            shown = lost[0] if lost else match[0]
            return f"{name}: `{shown}` is no choice: it must be {_kind(constant.value)}, as now"
    elif _MEANT.search(comment):
        value = constant.value
        found = None if isinstance(value, bool | str) else _hinted(constant, value)
        if found is None:
            return f"{name}: `{comment}` is not understood: write `range: 0.001 to 0.1, log`"
        if found.is_single:
            return (
                f"{name}: `{comment}` leaves one value: {_kind(constant.value)}, as it is written"
            )
    if re.search(_IF, comment) and not _CONDITION.search(comment):
        return f"{name}: `{comment}` is not understood: write `if DEPTH > 1`, and nothing behind it"
    return ""


def _kind(value: Scalar) -> str:
    kinds = {bool: "True or False", int: "a whole number", float: "a number", str: "a word"}
    return kinds[type(value)]


def admits(constant: Constant, value: Scalar) -> bool:
    """Whether the hint behind a constant leaves room for a value; without a hint there is some."""
    if isinstance(constant.value, float) and type(value) is int:
        value = float(value)
    if _FIXED.search(constant.comment):
        return False
    if match := _ONE_OF.search(constant.comment):
        return repr(value) in map(repr, _choices(match[1], constant.value))
    if isinstance(constant.value, bool | str) or isinstance(value, bool | str):
        return True
    space = _hinted(constant, constant.value)
    return space is None or (
        space.can_express(value) and space.low <= space.position(value) <= space.high
    )


def hint_of(constant: Constant) -> str:
    """The words of it that say what a value may be; "" without any."""
    found = (each.search(constant.comment) for each in (_ONE_OF, *_RANGES, _FIXED))
    return next((match[0].strip(" ;,.(") for match in found if match), "")


def is_idle(constant: Constant, values: Mapping[str, Scalar]) -> bool:
    """Whether, with these values of all constants, this one changes nothing, as its hint says."""
    match = _CONDITION.search(constant.comment)
    if not match or (here := values.get(match[1])) is None:
        return False
    if match[2] is None:
        return here is False
    if isinstance(here, str):
        is_equal = here == match[3].strip("'\"")
        return match[2] in ("==", "!=") and is_equal is (match[2] == "!=")
    limit = _number(match[3])
    return limit is not None and not _COMPARED[match[2]](here, limit)


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


# --- Hints ------------------------------------------------------------------------------------


def _choices(text: str, value: Scalar) -> tuple[Scalar, ...]:
    """The choices that a hint lists, of the same type as the value, without repetition."""
    found = (_choice(_stripped(item), value) for item in _ITEM.findall(text))
    return tuple({repr(choice): choice for choice in found if choice is not None}.values())


def _stripped(item: str) -> str:
    return item.strip().strip("[]{}(").rstrip(".").strip()


def _choice(item: str, value: Scalar) -> Scalar | None:
    """One choice; a string may stand without quotes, and a float without its point."""
    if isinstance(value, str) and not item.startswith(("'", '"')):
        word = _BARE_WORD.match(item)
        return word[0] if word else None
    try:
        choice = evaluate(item)
    except ValueError:
        return None
    if isinstance(value, float) and type(choice) is int:
        return float(choice)
    return choice if type(choice) is type(value) else None


def _hinted(constant: Constant, start: int | float) -> Range | None:
    """The range that a hint gives, if it gives one that can be understood."""
    for form in _RANGES:
        match = form.search(constant.comment)
        low, high = (_number(match[1]), _number(match[2].rstrip("."))) if match else (None, None)
        if low is not None and high is not None:
            break
    if match is None or low is None or high is None:
        return None
    if isinstance(start, float):
        return _range(Scale.LOG if match[3] and low > 0 else Scale.LINEAR, float(low), float(high))
    if (multiple := _MULTIPLE.search(constant.comment)) and start % (unit := int(multiple[1])) == 0:
        return _range(Scale.WHOLE, math.ceil(low / unit), math.floor(high / unit), unit)
    low, high = math.ceil(low / constant.unit), math.floor(high / constant.unit)
    if _is_power(constant, start) and is_power_of_two(low) and is_power_of_two(high):
        low, high = low.bit_length() - 1, high.bit_length() - 1
        return _range(Scale.POWER, low, high, constant.unit)
    return _range(Scale.WHOLE, low, high, constant.unit)


def _number(text: str) -> int | float | None:
    try:
        value = evaluate(text)
    except ValueError:
        return None
    return None if isinstance(value, bool | str) else value


def _range(scale: Scale, low: float, high: float, unit: int = 1) -> Range | None:
    return Range(scale, low, high, unit) if low <= high else None


# --- Inference --------------------------------------------------------------------------------


def _inferred(constant: Constant, value: int | float, start: int | float) -> Range | None:
    """The range around the start, widened to take in a value that someone has moved out of it."""
    here, space = _around(constant, value), _around(constant, start)
    if here is None or space is None or not space.can_express(value):
        return here
    place = space.position(value)
    if space.low <= place <= space.high:
        return space
    low, high = (here.low, here.high) if here.scale is space.scale else (place, place)
    return replace(space, low=min(low, space.low), high=max(high, space.high))


def _around(constant: Constant, value: int | float) -> Range | None:
    if isinstance(value, int):
        return _around_integer(constant, value) if value >= 0 else None
    if abs(value) < _TINY:
        return Range(Scale.LINEAR, 0.0, 0.1)
    if value < 0:
        return Range(Scale.LINEAR, 2 * value, 0.0)
    if 0.9 <= value < 1:  # a decay, whatever it is called
        return _around_share(value)
    says = f"{_words(constant.name)} {constant.comment.lower()}"
    if value <= 1 and _SHARE.search(says):
        return _around_share(value)
    return Range(Scale.LOG, value / 4, value * 4)


def _around_share(value: float) -> Range:
    """Inside [0, 1), as near to its ends as the value is; 1 itself is only searched downwards."""
    if 0.8 <= value < 1:
        return Range(Scale.NEAR_ONE, (1 - value) / 4, (1 - value) * 4)
    if value < 0.2:
        return Range(Scale.LOG, value / 4, value * 4)
    return Range(Scale.LINEAR, value / 4, 1 - (1 - value) / 4)


def _around_integer(constant: Constant, value: int) -> Range:
    count, unit = value // constant.unit, constant.unit
    if _is_power(constant, value):
        exponent = count.bit_length() - 1
        spread = 2 if count >= 16 else 1
        return Range(Scale.POWER, max(exponent - spread, 0), exponent + spread, unit)
    if count < 6:
        return Range(Scale.WHOLE, max(count - 2, min(count, 1)), count + 2, unit)
    return Range(Scale.WHOLE, count // 2, count * 2, unit)


def _is_power(constant: Constant, value: int) -> bool:
    """Whether an integer stays a power of two: batch sizes and widths, not a few layers."""
    count = value // constant.unit
    if constant.is_power or _POWER.search(constant.comment) or not is_power_of_two(count):
        return is_power_of_two(count)
    return count >= 4 and not _COUNT.search(_words(constant.name))
