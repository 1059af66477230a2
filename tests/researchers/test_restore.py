"""Protects the stand-in's start: whatever a failed researcher made of the files, they are back."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.researchers.fallback import restore

FILES = {"train.py": b"X = 1\n", "lib/deep/util.py": b"Y = 2\n"}


def link_to_outside(tree: Path) -> None:
    (tree / "train.py").unlink()
    (tree / "train.py").symlink_to(tree.parent / "outside" / "train.py")


def link_to_the_same_content(tree: Path) -> None:
    (tree / "lib/deep/util.py").unlink()
    (tree / "copy.py").write_bytes(FILES["lib/deep/util.py"])
    (tree / "lib/deep/util.py").symlink_to(tree / "copy.py")


def folder_links_to_outside(tree: Path) -> None:
    (tree / "lib").rename(tree / "moved")
    (tree / "lib").symlink_to(tree.parent / "outside")


def file_is_a_folder(tree: Path) -> None:
    (tree / "train.py").unlink()
    (tree / "train.py" / "inside").mkdir(parents=True)
    (tree / "train.py").chmod(0o500)


def file_is_a_pipe(tree: Path) -> None:
    (tree / "train.py").unlink()
    os.mkfifo(tree / "train.py")


def file_is_endless(tree: Path) -> None:
    os.truncate(tree / "train.py", 2**43)


def folder_is_a_file(tree: Path) -> None:
    (tree / "lib").rename(tree / "moved")
    (tree / "lib").write_text("")


def nothing_may_be_touched(tree: Path) -> None:
    (tree / "train.py").write_text("half an ed")
    (tree / "train.py").chmod(0)
    (tree / "lib/deep").chmod(0o500)
    (tree / "lib").chmod(0)
    tree.chmod(0o500)


def locked_and_edited(tree: Path) -> None:
    (tree / "train.py").write_text("half an ed")
    (tree / "train.py").chmod(0o444)


def all_is_gone(tree: Path) -> None:
    (tree / "train.py").unlink()
    (tree / "lib").rename(tree.parent / "gone")


SPOILED: list[Callable[[Path], None]] = [
    link_to_outside, link_to_the_same_content, folder_links_to_outside, file_is_a_folder,
    file_is_a_pipe, file_is_endless, folder_is_a_file, nothing_may_be_touched, locked_and_edited,
    all_is_gone,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_the_files_are_back_and_nothing_outside_is_touched(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    for folder in (tree, outside):
        for name, content in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content if folder is tree else b"not yours\n")
    (tree / "notes.txt").write_text("stays")
    spoil(tree)
    restore(tree, FILES)
    for name, content in FILES.items():
        path = tree / name
        assert path.is_file()
        assert path.resolve() == tree.resolve() / name
        assert path.read_bytes() == content
        assert (outside / name).read_bytes() == b"not yours\n"
    assert (tree / "notes.txt").read_text() == "stays"


def test_what_was_not_touched_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(FILES["train.py"])
    (tmp_path / "train.py").chmod(0o444)  # a locked file keeps its lock
    before = (tmp_path / "train.py").stat()
    restore(tmp_path, {"train.py": FILES["train.py"]})
    after = (tmp_path / "train.py").stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
