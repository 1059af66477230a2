"""Check every relative link of the Markdown pages, its heading included; `make check`."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)|<img[^>]+src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def main() -> int:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    dead = [f"{page.relative_to(ROOT)}: {target}" for page in pages for target in dead_links(page)]
    print("\n".join(dead) or f"{len(pages)} pages, no dead link")
    return 1 if dead else 0


def dead_links(page: Path) -> Iterator[str]:
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        target: str = match[1] or match[2]
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (heading and heading not in headings(file)):
            yield target


@cache
def headings(page: Path) -> frozenset[str]:
    """As GitHub names them: small letters, no punctuation, hyphens for spaces."""
    found = HEADING.findall(page.read_text(encoding="utf-8"))
    return frozenset(re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in found)


if __name__ == "__main__":
    sys.exit(main())
