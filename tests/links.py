"""Check every relative link and anchor-less file reference of the Markdown pages; `make check`."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)|<img[^>]+src=\"([^\"]+)\"")


def main() -> int:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for match in LINK.finditer(page.read_text(encoding="utf-8"))
        if "://" not in (target := match[1] or match[2]) and not (page.parent / target).exists()
    ]
    print("\n".join(dead) or f"{len(pages)} pages, no dead link")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
