"""A page as a strict reader sees it; what several tests of pages use."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page(HTMLParser):
    """Reads a page strictly: every tag closed in order, cells and links collected."""

    text: str
    open_tags: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    title: str = ""
    bare: str = ""  # the words outside of code and of the title

    VOID = ("meta", "wbr")

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()
        assert self.open_tags == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag in ("dt", "dd"):
            (self.terms if tag == "dt" else self.values).append("")
        if tag not in self.VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open_tags:
            return
        self.words.append(data)
        if not {"code", "h2"} & {*self.open_tags}:
            self.bare += data
        if "h1" in self.open_tags:
            self.title += data
        if "dt" in self.open_tags:
            self.terms[-1] += data
        if "dd" in self.open_tags:
            self.values[-1] += data
        if "td" in self.open_tags or "th" in self.open_tags:
            self.tables[-1][-1][-1] += data

    def table(self, *head: str) -> list[list[str]]:
        """The rows below this heading; the page has one such table."""
        (found,) = [table[1:] for table in self.tables if tuple(table[0]) == head]
        return found

    def pairs(self) -> dict[str, str]:
        """Every `dt` with its `dd`."""
        return dict(zip(self.terms, self.values, strict=True))
