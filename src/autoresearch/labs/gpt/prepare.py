# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "huggingface-hub>=0.30", "numpy>=1.26", "pyarrow>=16", "safetensors>=0.4.5", "tiktoken>=0.8",
#     "tokenizers>=0.20", "torch>=2.10,<2.14",
# ]
# ///
"""Data, tokenizer, loader, clock and evaluation. Locked: experiments change train.py, never this.

    python prepare.py                    prepare the corpus SOURCE (once; later calls check it)
    python prepare.py --source PATH      another: python, tinystories, climbmix, file, folder
    python prepare.py score              the score of the artifact that train.py left here

    Documents     sources, near-duplicates, what is held out
    Tokenizer     byte-level BPE
    The cache     a corpus as files: prepare(), the_corpus()
    Training      start(); Run: clock, batches, progress, submit()
    Evaluation    score(): bits per byte; then the audit, and the processes that run the model
    Conveniences  device and memory, for train.py; they guard no score

A corpus is a folder in the cache: train.bin and three held-out splits, dev.bin, confirm.bin and
final.bin (uint16 tokens, every document behind a BOS token), tokenizer.json, withheld.json (where
the text came from), and manifest.json, which is written last and holds sizes and digests. val_bpb
is the loss over every token of the dev split, divided by the exact number of its bytes.

Scoring is claim, then prove: a process that runs the model claims the loss of every token, then a
fresh one, which sees only the text before a token, must give the same at sampled positions.

Environment: AUTORESEARCH_SOURCE (instead of SOURCE), AUTORESEARCH_CACHE (~/.cache/autoresearch),
AUTORESEARCH_BUDGET (seconds of training), AUTORESEARCH_SEED, AUTORESEARCH_SHARDS (hub corpora),
HF_ENDPOINT, HF_TOKEN, HF_HOME as everywhere. A harness that runs train.py also sets
AUTORESEARCH_HARNESS (a socket), AUTORESEARCH_MANIFEST, AUTORESEARCH_ARTIFACT, AUTORESEARCH_TREE
and AUTORESEARCH_RESULT, for preparing AUTORESEARCH_LAB (where relative paths start; by hand that
is the folder you are in), and for scoring AUTORESEARCH_SPLITS, _BOX, _REFERENCE, _CLAIM and
_INCUMBENT (docs/lab.md); by hand none of them is needed, and dev alone is scored.

Not covered here: confinement. A train.py run by hand can do whatever its user can, and without a
box the two processes of an audit can talk to each other through files.
"""

import argparse
import base64
import contextlib
import ctypes
import fcntl
import functools
import gc
import hashlib
import importlib.util
import itertools
import json
import math
import os
import platform
import re
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np


def end_by_hand(kind, error, trace):
    """An error of train.py stands below the line of progress; Ctrl-C is no error."""
    print("\nstopped" if kind is KeyboardInterrupt else "", file=sys.stderr)
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


if __name__ != "__main__":  # train.py imports torch next, whose many objects stay: looking for
    gc.disable()  # garbage among them costs a tenth of its start. keep_memory() ends this
    sys.excepthook = sys.excepthook if "AUTORESEARCH_HARNESS" in os.environ else end_by_hand

# ------------------------------------------------------------------------------------------------
# Constants
# ------------------------------------------------------------------------------------------------

SOURCE = "python"  # or tinystories, climbmix, a folder, a .txt .md .py .jsonl .parquet file
TIME_BUDGET = 300.0  # seconds of training


def env(name, default=""):
    return os.environ.get(f"AUTORESEARCH_{name}", default)


LAB = Path(env("LAB"))  # relative paths start here
CACHE = LAB / Path(env("CACHE") or Path.home() / ".cache" / "autoresearch").expanduser()
BY_HAND = Path(".autoresearch") / "by-hand"  # where train.py leaves its artifact without a harness


class Problem(SystemExit):
    """Something the person can mend: ends the program with its one line and exit code 1."""


def env_number(name, kind, default, least):
    """A setting. Ends the program with one line and exit code 2, as a wrong option does."""
    with contextlib.suppress(ValueError):
        if least <= (number := kind(env(name) or default)) < math.inf:
            return number
    print(f"AUTORESEARCH_{name} is {env(name)!r}: give a number from {least} on", file=sys.stderr)
    raise SystemExit(2)


BUDGET_SECONDS = env_number("BUDGET", float, TIME_BUDGET, 0.001)
SEED = env_number("SEED", int, 0, 0)


class Cheat(Exception):
    """The artifact breaks a rule of scoring; main() prints it and exits with 3."""


# ------------------------------------------------------------------------------------------------
# Documents: every source gives Documents
# ------------------------------------------------------------------------------------------------

HELD_OUT = ("dev", "confirm", "final")  # for the search, for a second opinion, sealed
ROUGH_BYTES = 100_000  # of the dev split; scores on less are rough
LARGE_CORPUS_BYTES = 100_000_000  # from here on SHAPES["large"]
PYTHON_FILE_BYTES = 200_000  # larger standard library files are mostly tables: left out
PYTHON_LETTERS = 0.40  # a file with a smaller share of letters is a table: left out
SHARED_SHINGLES = 0.30  # texts that share more of the shorter one's shingles are near-duplicates
SHINGLE_BYTES = 64  # a shingle of any text; of files in groups it is three lines
SHINGLE_EVERY = 16  # one in so many is looked at, chosen by its content
SUFFIXES = (".txt", ".md", ".py", ".jsonl", ".parquet")  # of local files, in any case
WITHHELD_FILES = 500  # of a local corpus are named one by one; of more the folder is
COPIED_SHINGLES = 0.80  # a text is a copy when so many of its shingles are in the same split
SHORT_SHINGLES = 16  # in texts that have no more, one that both have may be enough
COMMON_SHINGLE = 16  # a shingle in more documents than this is boilerplate

# Sources that no trainer imports, so that a sandbox can hide those that hold held-out text.
UNUSED_FOLDERS = {"test", "tests", "idlelib", "turtledemo", "lib2to3", "tkinter"}
# Some distributions leave these folders out: then whole modules that nobody needs to train. None
# of them is imported by torch, numpy, safetensors or torch.compile; a test looks.
UNUSED_MODULES = {
    "aifc", "asynchat", "asyncore", "cgi", "cgitb", "chunk", "crypt", "curses", "dbm", "ensurepip",
    "fileinput", "ftplib", "imaplib", "imghdr", "mailbox", "mailcap", "modulefinder", "msilib",
    "nntplib", "pipes", "poplib", "pyclbr", "pydoc", "pydoc_data", "sched", "smtpd",
    "smtplib", "sndhdr", "sunau", "tabnanny", "telnetlib", "this", "trace", "turtle", "uu", "wave",
    "webbrowser", "wsgiref", "xdrlib", "xmlrpc", "zipapp",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What is fixed about a corpus, so that scores on it can be compared."""

    vocab_size: int
    seq_len: int  # context length of training rows and of every evaluation row
    held_out_bytes: tuple  # sizes of dev, confirm and final, about
    document_bytes: int  # a longer held-out document is cut here: no file may dominate


SHAPES = {
    "small": Shape(1024, 512, (300_000, 200_000, 300_000), 3_072),
    "tinystories": Shape(4096, 512, (2_000_000, 1_000_000, 2_000_000), 8_192),
    "large": Shape(8192, 2048, (8_000_000, 4_000_000, 8_000_000), 65_536),
}


@dataclass(frozen=True)
class HubCorpus:
    """A dataset on the Hugging Face hub, in parquet shards with a `text` column."""

    repo: str
    train: str  # shard name with a number in it, or one file
    val: str  # the pinned shard of held-out text; the same file: its first rows are held out
    shards: int  # how many there are


HUB = {
    "tinystories": HubCorpus(
        "karpathy/tinystories-gpt4-clean", *2 * ["tinystories_gpt4_clean.parquet"], shards=1
    ),
    "climbmix": HubCorpus(
        "karpathy/climbmix-400b-shuffle", "shard_{:05d}.parquet", "shard_06542.parquet", 6542
    ),
}
HUB_SHARDS = 8  # training shards downloaded unless AUTORESEARCH_SHARDS says otherwise


@dataclass(frozen=True)
class Documents:
    """A corpus as text."""

    train: object  # list or iterator of bytes
    held_out: dict  # split -> list of bytes
    withheld: list  # files that hold held-out text, or training text before its time
    commit: str = ""  # of the dataset on the hub


def python_documents(shape):
    """The standard library's own sources: always there, nothing downloaded.

    Generated files and tables are left out. Near-duplicate files form a group, and a group is
    never on two sides of the split. Held-out text comes only from files that no trainer imports.
    """
    paths = {name: path for name, path, *_ in python_listing()}
    files = [(name, Path(path).read_bytes()) for name, path in paths.items()]
    files = [(name, text) for name, text in files if not is_table(text)]
    groups = in_order(near_duplicates(files))
    wanted = wanted_bytes(sum(len(text) for _, text in files), shape)
    pool = [group for group in groups if all(is_unused(name, folders=True) for name, _ in group)]
    cut, limit = one_head, shape.document_bytes
    if sum(len(head(text, limit)) for group in pool for _, text in group) < sum(wanted):
        # no test suite here: take modules, and all of their text
        pool = [group for group in groups if all(is_unused(name) for name, _ in group)]
        cut = all_pieces
        share = 0.9 * sum(len(text) for group in pool for _, text in group) / sum(wanted)
        wanted = [int(size * min(1.0, share)) for size in wanted]
    held_out, seen, used = hold_out(pool, shape, wanted, cut)
    names = {name for group in used for name, _ in group}
    train = [text for group in groups for name, text in group if name not in names]
    withheld = sorted(os.path.realpath(paths[name]) for name in names)
    return Documents(list(apart(train, seen)), held_out, withheld)


def is_unused(name, folders=False):
    """True for a source file that no trainer imports."""
    parts = Path(name).with_suffix("").parts
    return bool(UNUSED_FOLDERS & set(parts[:-1])) or (not folders and parts[0] in UNUSED_MODULES)


def python_listing():
    """(name, path, size, mtime) of every candidate, sorted by name."""
    root, skip = sysconfig.get_path("stdlib"), {"site-packages", "dist-packages", "__pycache__"}
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in skip]
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                facts = os.stat(path)
                found.append((os.path.relpath(path, root), path, facts.st_size, facts.st_mtime_ns))
    return sorted(found)


GENERATED = re.compile(
    rb"generated (by|from|automatically)|auto-?generated|do not (edit|modify)", re.I
)


def is_table(text):
    """Generated code, data in disguise, or nothing at all."""
    if not text.strip() or len(text) > PYTHON_FILE_BYTES or GENERATED.search(text[:600]):
        return True
    return sum(map(str.isalpha, text.decode("utf-8", "replace"))) < PYTHON_LETTERS * len(text)


def near_duplicates(files):
    """[(name, text)] -> [[(name, text), ...], ...]: groups that share many 3-line shingles."""
    owners, sizes = {}, []
    for number, (_, text) in enumerate(files):
        lines = [line.strip() for line in text.split(b"\n") if line.strip()]
        shingles = {hash_bytes(b"\n".join(lines[i : i + 3])) for i in range(len(lines) - 2)}
        sizes.append(max(1, len(shingles)))
        for shingle in shingles:
            owners.setdefault(shingle, []).append(number)
    shared = {}
    for sharers in owners.values():
        if 1 < len(sharers) <= COMMON_SHINGLE:
            for pair in itertools.combinations(sharers, 2):
                shared[pair] = shared.get(pair, 0) + 1
    group = list(range(len(files)))

    def find(number):
        while group[number] != number:
            group[number] = number = group[group[number]]
        return number

    for (first, second), count in shared.items():
        if count > SHARED_SHINGLES * min(sizes[first], sizes[second]):
            group[find(first)] = find(second)
    groups = {}
    for number, file in enumerate(files):
        groups.setdefault(find(number), []).append(file)
    return list(groups.values())


def hash_bytes(text):
    return hashlib.blake2b(text, digest_size=8).digest()


def in_order(groups):
    """Groups of (name, text) in an order that only their text decides."""
    return sorted(groups, key=lambda group: hash_bytes(b"split" + group[0][1]))


def wanted_bytes(total, shape):
    """Sizes of the held-out splits; of a small corpus dev is a tenth, and the others as fits."""
    scale = min(1.0, total / 10 / shape.held_out_bytes[0])
    return [int(size * scale) for size in shape.held_out_bytes]


def hold_out(groups, shape, wanted, cut):
    """Fill the held-out splits from groups of (name, text), one after the other.

    Returns ({split: texts}, what is held out as Seen, the groups that are used up). Many short
    documents judge a model more evenly than a few long ones, so `cut` shortens them; what is cut
    off is not trained on either. A group that is too like another split's text is in no split,
    nor is one of whose windows the split has nearly all: copies of one text would be all of it.
    """
    held_out, seen, used, groups = {}, Seen(), [], iter(groups)
    for name, size in zip(HELD_OUT, wanted, strict=True):
        texts, own = held_out.setdefault(name, []), set()
        while sum(map(len, texts)) < max(1, size):
            group = next(groups, None)
            if group is None:
                raise TooLittle(size_of(held_out))
            parts = [part for _, text in group for part in cut(text, shape.document_bytes)]
            used.append(group)
            new = set(shingles_of(parts)[0].tolist())
            if len(new & own) <= COPIED_SHINGLES * len(new) and not any(seen.like(parts)):
                texts += parts
                own |= new
        seen.add(texts)
    held = size_of(held_out)
    rest = sum(len(text) for group in used for _, text in group) - held
    say(f"{held:,} bytes are held out; {rest:,} more of the same documents are left out")
    return held_out, seen, used


def one_head(text, limit):
    return [head(text, limit)]


def all_pieces(text, limit):
    return pieces(text, limit // 2)


class TooLittle(Exception):
    """There is no more text than so many bytes, which are held out."""


def size_of(held_out):
    return sum(map(len, itertools.chain(*held_out.values())))


class Seen:
    """Texts that others must not be like: their shingles, and whose they are."""

    def __init__(self):
        self._whole, self._sizes = set(), np.empty(0, np.int64)
        self._shingles, self._owners = np.empty(0, np.uint32), np.empty(0, np.int64)

    def add(self, texts):
        shingles, owners = shingles_of(texts)
        sizes = np.bincount(owners, minlength=len(texts))
        shingles = np.concatenate([self._shingles, shingles])
        owners = np.concatenate([self._owners, owners + len(self._sizes)])
        order = np.argsort(shingles, kind="stable")
        self._shingles, self._owners = shingles[order], owners[order]
        self._sizes = np.concatenate([self._sizes, sizes])
        self._whole.update(texts)

    def like(self, texts):
        """For each text: is it a near-duplicate of one of these?"""
        shingles, which = shingles_of(texts)
        first = np.searchsorted(self._shingles, shingles)
        count = np.searchsorted(self._shingles, shingles, "right") - first
        known = (count > 0) & (count <= COMMON_SHINGLE)
        sizes = np.bincount(which, minlength=len(texts))
        pairs = which[known] * max(1, len(self._sizes)) + self._owners[first[known]]
        pairs, shared = np.unique(pairs, return_counts=True)
        whose, owner = np.divmod(pairs, max(1, len(self._sizes)))
        shorter, longer = np.sort([sizes[whose], self._sizes[owner]], axis=0)
        enough = np.where(longer > SHORT_SHINGLES, 2, 0)  # two may be a licence, but not of so few
        found = {*whose[(shared > enough) & (shared > SHARED_SHINGLES * shorter)].tolist()}
        return [number in found or text in self._whole for number, text in enumerate(texts)]


def shingles_of(texts):
    """(hash uint32, number of its text) of some of the texts' windows of SHINGLE_BYTES bytes.

    Bytes, not lines or words, because prose may have no lines. Which windows are looked at is
    decided by their own hash, so two texts that share one look at it both.
    """
    data, ends = np.frombuffer(b"".join(texts), np.uint8), np.cumsum([*map(len, texts)])
    places, hashes = [], []
    for start in range(0, len(data), 2**17):  # so many at once stay in a CPU's cache
        rolling, step = data[start : start + 2**17 + SHINGLE_BYTES - 1].astype(np.uint32), 1
        while step < min(SHINGLE_BYTES, len(rolling)):
            factor = np.uint32(pow(0x9E3779B1, step, 2**32))
            rolling, step = rolling[:-step] + factor * rolling[step:], 2 * step
        if step == SHINGLE_BYTES:
            rolling ^= rolling >> np.uint32(15)
            rolling *= np.uint32(0x85EBCA6B)
            chosen = np.flatnonzero(rolling < np.uint32(2**32 // SHINGLE_EVERY))
            places.append(chosen + start)
            hashes.append(rolling[chosen])
    if not places:
        return np.empty(0, np.uint32), np.empty(0, np.int64)
    places, hashes = np.concatenate(places), np.concatenate(hashes)
    which = np.searchsorted(ends, places, "right")
    whole = places + SHINGLE_BYTES <= ends[which]
    return hashes[whole], which[whole]


def apart(train, seen):
    """Training texts without those that are like held-out ones, in order."""
    ahead = os.cpu_count() or 1  # batches that are compared while others are used
    with ThreadPoolExecutor(ahead) as pool:
        waiting, dropped = deque(), 0
        for batch in itertools.chain(chunks(train), [[]] * ahead):  # empty ones push out the last
            waiting.append((batch, pool.submit(seen.like, batch)))
            if len(waiting) > ahead:
                texts, like = waiting.popleft()
                for text, is_like in zip(texts, like.result(), strict=True):
                    if is_like:
                        dropped += len(text)
                    else:
                        yield text
    say(f"{dropped:,} bytes of training text are dropped: they are like held-out text")


def head(text, limit):
    """The first lines of text, at most `limit` bytes; a first line that is longer is cut."""
    return text if len(text) <= limit else text[: text.rfind(b"\n", 0, limit) + 1] or text[:limit]


def local_documents(path, shape):
    """A file or a folder of text: each file a document, but a line each of .jsonl and .parquet."""
    files = [file for _, file, *_ in local_listing(path)]
    if skipped := [Path(file).suffix or file for _, file, *_ in local_listing(path, read=False)]:
        say(f"skipped {len(skipped)} files ({', '.join(sorted(set(skipped))[:9])})")
    texts = [text for file in files for text in read_documents(Path(file))]
    if not any(texts):
        raise Problem(f"{path}: no text in it")
    total, texts = sum(map(len, texts)), set(texts)
    size, heads = (sum(len(text[:n]) for text in texts) for n in (None, shape.document_bytes))
    wanted = wanted_bytes(size, shape)
    if sum(wanted) * (size / heads - 1) > size / 10:  # so much would be cut off: cut all instead
        texts = {piece for text in texts for piece in pieces(text, shape.document_bytes)}
    groups = in_order([(None, text)] for text in texts if text)
    if copies := total - sum(map(len, texts)):
        say(f"{copies:,} of {total:,} bytes are dropped: exact copies")
    held_out, seen, used = hold_out(groups, shape, wanted, one_head)
    train = list(apart((text for ((_, text),) in groups[len(used) :]), seen))
    if len(files) > WITHHELD_FILES:
        files = [str((LAB / Path(path).expanduser()).resolve())]
    return Documents(train, held_out, files)


def local_listing(path, read=True):
    """(name, path, size, mtime) of the files that are read, or of those that are not. Hidden files
    and the lab's own are neither."""
    root = (LAB / Path(path).expanduser()).resolve()
    if not root.exists():
        known = "python, tinystories, climbmix, or the path of a file or folder"
        raise Problem(f"no such corpus: {root}. Use {known}.")
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    hidden = {file for file in files if "/." in str(file)[len(str(root)) :]}
    hidden |= {(LAB / name).resolve() for name in ("prepare.py", "train.py", "program.md")}
    files = [file for file in files if file.is_file() and file not in hidden]
    files = [file for file in files if (file.suffix.lower() in SUFFIXES) == read]
    if read and not files:
        raise Problem(f"{path}: no {' '.join(SUFFIXES)} file in it (the lab's own do not count)")
    facts = [(file, file.stat()) for file in files]
    return [(str(file), str(file), fact.st_size, fact.st_mtime_ns) for file, fact in facts]


def read_documents(file):
    if file.suffix.lower() == ".parquet":
        return list(parquet_documents(file))
    if file.suffix.lower() == ".jsonl":
        with file.open("rb") as lines:
            return [json_text(line, file, n) for n, line in enumerate(lines, 1) if line.strip()]
    text = file.read_bytes()
    if b"\0" in text:
        raise Problem(f"{file}: NUL bytes in it, so it is no text in UTF-8 (compressed? UTF-16?)")
    return [text]


def json_text(line, file, number):
    try:
        return json.loads(line)["text"].encode("utf-8", "surrogatepass")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f'{file} line {number}: not a JSON object with a "text" string') from error


def parquet_documents(file):
    """The `text` column, one row group in memory at a time."""
    try:
        import pyarrow.parquet  # heavy, and only parquet corpora need it
    except ImportError as error:
        raise Problem("parquet files need one more package: pip install pyarrow") from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
        if "text" not in table.schema_arrow.names:
            raise Problem(f'{file}: no column "text"')
        for group in range(table.num_row_groups):
            for text in table.read_row_group(group, columns=["text"]).column("text").to_pylist():
                if text:
                    yield text.encode("utf-8", "surrogatepass")
    except (pyarrow.ArrowException, AttributeError) as error:
        raise Problem(f'{file}: not a parquet file with a "text" column of strings') from error


def pieces(text, limit):
    """Consecutive pieces of at most `limit` bytes, cut at line ends; nothing is lost."""
    found, start = [], 0
    while start < len(text):
        found.append(head(text[start : start + limit + 1], limit))
        start += len(found[-1])
    return found


def hub_documents(corpus, shape):
    """Training shards and the pinned shard of held-out text; downloaded first where missing."""
    names = [corpus.train.format(number) for number in range(hub_shards(corpus))]
    paths, commit = download(corpus.repo, list(dict.fromkeys([*names, corpus.val])))
    texts = parquet_documents(paths[corpus.val])
    some, wanted = list(up_to(sum(shape.held_out_bytes), texts)), shape.held_out_bytes
    if (found := sum(map(len, some))) < sum(wanted):  # less than there should be
        wanted = [int(0.9 * size * found / sum(wanted)) for size in wanted]
    groups = ([(None, text)] for text in itertools.chain(some, texts))
    held_out, seen, used = hold_out(groups, shape, wanted, one_head)
    skip = {corpus.val: len(used)}

    def train():
        for name in names:
            for number, text in enumerate(parquet_documents(paths[name])):
                if number >= skip.get(name, 0):
                    yield text

    withheld = sorted(str(path.resolve()) for path in paths.values())
    return Documents(apart(train(), seen), held_out, withheld, commit)


def up_to(size, texts):
    """The first texts, together of about this size."""
    while size > 0 and (text := next(texts, None)) is not None:
        size -= len(text)
        yield text


def hub_shards(corpus):
    return min(env_number("SHARDS", int, HUB_SHARDS, 1), corpus.shards)


def download(repo, names):
    """({name: path}, commit) of dataset files, all of one commit: retried, SHA-256 checked."""
    try:
        import huggingface_hub as hub  # only the hub's corpora need it
    except ImportError as error:
        raise Problem("this needs more: pip install huggingface-hub pyarrow") from error

    def get(name, commit=None, force=False, attempt=0):
        given = {"repo_type": "dataset", "revision": commit, "force_download": force}
        try:
            path = hub.hf_hub_download(repo, name, **given)
        except Exception as error:  # the errors of the client's HTTP library among them
            seconds = seconds_to_wait(error, attempt)
            if isinstance(error, (FileNotFoundError, ValueError)):  # the client has tried enough
                error = error.__cause__ or error
            said = f"{repo}/{name}: {' '.join(str(error).split())[:300] or type(error).__name__}"
            if seconds is None or attempt == 5:
                raise Problem(said) from error
            print(f"  {said}; trying again in {seconds} s", file=sys.stderr)
            time.sleep(seconds)
            return get(name, commit, force, attempt + 1)
        digest = Path(os.readlink(path)).name if os.path.islink(path) else ""  # or of a small file
        if len(digest) != 64 or file_sha256(path) == digest:
            return Path(path)
        if force:
            raise Problem(f"{repo}/{name}: its SHA-256 is not what the hub promises")
        return get(name, commit, force=True)  # a damaged copy in the hub's cache

    commit = get(names[0]).parent.name
    with ThreadPoolExecutor(4) as pool:
        paths = pool.map(lambda name: get(name, commit), names)
        return dict(zip(names, paths, strict=True)), commit


def seconds_to_wait(error, attempt):
    """Before a download is tried again; None where that is hopeless."""
    response = getattr(error, "response", None)
    if response is None:  # the connection; or this machine's disk, a proxy, offline mode
        passing = type(error).__module__.partition(".")[0] in ("requests", "httpx", "httpx2")
        return 2**attempt if passing and "Proxy" not in type(error).__name__ else None
    after = response.headers.get("Retry-After", "")
    passing = response.status_code >= 500 or response.status_code in (408, 429)
    return (int(after) if after.isdigit() else 2**attempt) if passing else None


def file_sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(source):
    """What a source consists of, cheaply: part of the key of its cache."""
    if source in HUB:
        return [HUB[source].repo, hub_shards(HUB[source])]
    files = python_listing() if source == "python" else local_listing(source)
    return [(name, size, mtime) for name, _, size, mtime in files]


def shape_of(source):
    if source in HUB:
        return SHAPES["tinystories" if source == "tinystories" else "large"]
    size = 0 if source == "python" else sum(size for _, _, size, _ in local_listing(source))
    return SHAPES["large" if size >= LARGE_CORPUS_BYTES else "small"]


def documents(source, shape):
    if source == "python":
        return python_documents(shape)
    return hub_documents(HUB[source], shape) if source in HUB else local_documents(source, shape)


# ------------------------------------------------------------------------------------------------
# Tokenizer: byte-level BPE. Tokens 0..255 are the bytes, the last four are special.
# ------------------------------------------------------------------------------------------------

SPECIAL_TOKENS = ("<|bos|>", "<|reserved_1|>", "<|reserved_2|>", "<|reserved_3|>")
# GPT-4's split pattern, with numbers cut in groups of at most two digits: better for small
# vocabularies (the constant that karpathy/nanochat and karpathy/autoresearch settled on).
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
TOKENIZER_SAMPLE_BYTES = 12_000_000  # text the tokenizer is trained on
TOKENIZER_PIECE_BYTES = 16_384  # cut in pieces, or one endless word would take hours


class Tokenizer:
    """`tokens` are the bytes of every ordinary token, in the order of their merges."""

    def __init__(self, tokens):
        import tiktoken  # here and below: what only preparing needs is not loaded for training

        self.tokens = tokens
        self.bos = len(tokens)
        ranks = {token: rank for rank, token in enumerate(tokens)}
        self._byte = [ranks[bytes([value])] for value in range(256)]
        self._encoding = tiktoken.Encoding(
            "autoresearch", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={}
        )

    @classmethod
    def train(cls, texts, vocab_size):
        from tokenizers import Regex, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Trainable

        split = SPLIT_PATTERN.replace("?+", "?").replace("++", "+")  # its regex has no possessives
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        trainable = Trainable(models.BPE())
        trainable.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(split), "isolated"), byte_level]
        )
        size, alphabet = vocab_size - len(SPECIAL_TOKENS), byte_level.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, show_progress=False
        )
        parts = (part for text in texts for part in pieces(text, TOKENIZER_PIECE_BYTES))
        trainable.train_from_iterator((part.decode("utf-8", "replace") for part in parts), trainer)
        value = byte_values()
        words = sorted(trainable.get_vocab().items(), key=lambda item: item[1])
        return cls([bytes(value[letter] for letter in word) for word, _ in words])

    @classmethod
    def load(cls, path):
        tokens = json.loads(Path(path).read_text())["tokens"]
        return cls([base64.b64decode(token) for token in tokens])

    def save(self, path):
        tokens = [base64.b64encode(token).decode() for token in self.tokens]
        facts = {"pattern": SPLIT_PATTERN, "special": SPECIAL_TOKENS, "tokens": tokens}
        Path(path).write_text(json.dumps(facts))

    @property
    def vocab_size(self):
        return len(self.tokens) + len(SPECIAL_TOKENS)

    def token_bytes(self):
        """Length in bytes of every token, uint16[vocab_size]; 0 for the special ones."""
        return np.array([*map(len, self.tokens), *[0] * len(SPECIAL_TOKENS)], dtype=np.uint16)

    def encode(self, text):
        """bytes -> uint16 tokens whose bytes are the text's, also where it is not valid UTF-8."""
        try:
            return self._ids(text.decode("utf-8"))
        except UnicodeDecodeError:
            parts = re.split("([\udc80-\udcff]+)", text.decode("utf-8", "surrogateescape"))
            ids = [self._lone(p) if n % 2 else self._ids(p) for n, p in enumerate(parts)]
            return np.concatenate(ids)

    def _ids(self, text):
        try:
            return self._encoding.encode_to_numpy(text, disallowed_special=()).astype(np.uint16)
        except ValueError:  # the pattern's engine gives up on a million blanks in a row
            if len(text) < 2:
                raise
            half = len(text) // 2
            return np.concatenate([self._ids(text[:half]), self._ids(text[half:])])

    def _lone(self, text):
        return np.array([self._byte[ord(letter) - 0xDC00] for letter in text], dtype=np.uint16)

    def decode(self, ids):
        return b"".join(self.tokens[token] for token in ids if token < self.bos)


def byte_values():
    """The byte that each letter of the byte-level alphabet stands for.

    The alphabet shows printable Latin-1 as itself and the other 68 bytes, in order, as the
    letters from U+0100 on (Radford et al. 2019, GPT-2).
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [value for value in range(256) if value not in plain]
    return {chr(v): v for v in plain} | {chr(0x100 + n): v for n, v in enumerate(other)}


# ------------------------------------------------------------------------------------------------
# The cache: one folder a corpus, complete or not there
# ------------------------------------------------------------------------------------------------

CHUNK_BYTES = 4_000_000  # text tokenised at a time
DIGEST_WHOLE_BYTES = 256 * 2**20  # larger files are digested by samples


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: its facts, and where its tokens lie."""

    folder: Path
    source: str
    commit: str  # of a dataset on the hub
    vocab_size: int
    seq_len: int
    bos: int
    train_tokens: int
    held_out: dict  # split -> {"bytes", "tokens", "documents"}
    digests: dict

    def tokens(self, name):
        """uint16 tokens of train.bin, dev.bin, ..., mapped; verified first."""
        self.verify(name)
        return np.memmap(self.folder / name, dtype=np.uint16, mode="r")

    def verify(self, *names):
        for name in names:
            if digest(self.folder / name) != self.digests[name]:
                raise Problem(f"{self.folder / name} is damaged: run prepare.py again")

    def withheld(self):
        """What nobody may read who trains or scores: tokens, and where the text came from."""
        self.verify("withheld.json")
        sources = json.loads((self.folder / "withheld.json").read_text())
        return [*(str(self.folder / name) for name in TOKEN_FILES), *sources]

    def token_bytes(self):
        self.verify("tokenizer.json")
        tokens = json.loads((self.folder / "tokenizer.json").read_text())["tokens"]
        return np.array([*(len(base64.b64decode(t)) for t in tokens), *[0] * len(SPECIAL_TOKENS)])


TOKEN_FILES = ("train.bin", *(f"{name}.bin" for name in HELD_OUT))
FILES = (*TOKEN_FILES, "tokenizer.json", "withheld.json")


def digest(path):
    """Size and SHA-256; of a very large file the ends and 64 samples, so that use stays cheap."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            if size <= DIGEST_WHOLE_BYTES:
                return f"{size}:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            found = hashlib.sha256()
            for part in range(65):
                file.seek(part * (size - 2**20) // 64)
                found.update(file.read(2**20))
            return f"{size}:sampled:{found.hexdigest()}"
    except OSError:
        return "missing"


def cache_folder(source):
    """Keyed by all that shapes the corpus: its files, and this one from Documents to Training."""
    code = Path(__file__).read_text("utf-8").partition("\n# Documents")[2]
    facts = [listing(source), code.partition("\n# Training")[0]]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    known = source == "python" or source in HUB
    name = source if known else re.sub(r"\W+", "-", Path(source).stem)[:40] or "corpus"
    return CACHE / f"{name}-{key}"


def facts_checksum(facts):
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def load_corpus(manifest):
    """Corpus of a manifest file. Raises Problem where there is none that can be trusted."""
    try:
        facts = json.loads(Path(manifest).read_text())
        if facts.pop("checksum") != facts_checksum(facts):
            raise ValueError("the manifest is damaged")
        return Corpus(folder=Path(manifest).parent, **facts)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        where = Path(manifest).parent
        raise Problem(f"no prepared corpus at {where}: run `python prepare.py` first") from error


def the_corpus():
    """The corpus that the harness, or SOURCE, names."""
    if env("MANIFEST"):
        return load_corpus(env("MANIFEST"))
    return load_corpus(cache_folder(env("SOURCE") or SOURCE) / "manifest.json")


def prepare(source):
    """Build the corpus unless a sound one is there already; returns it.

    Built aside and moved in whole: a killed or full-disk build leaves nothing that is ever used.
    """
    final = cache_folder(source)
    final.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(final):
        with contextlib.suppress(Problem):
            corpus = load_corpus(final / "manifest.json")
            corpus.verify(*FILES)
            return corpus
        for leftover in final.parent.glob(f".{final.name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        try:
            write_corpus(source, aside)
            shutil.rmtree(final, ignore_errors=True)
            aside.rename(final)
        except TooLittle as error:
            raise Problem(
                f"{source}: {error.args[0]:,} bytes without copies are too little text to train on "
                "and to validate with: 20,000 are needed, and 1,000,000 for scores that tell much"
            ) from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return load_corpus(final / "manifest.json")


@contextlib.contextmanager
def one_at_a_time(folder):
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_corpus(source, folder):
    """The tokens of every split, tokenizer.json, withheld.json, and last manifest.json."""
    shape = shape_of(source)
    found = documents(source, shape)
    sample, train = take_sample(found.train)
    say(f"training the tokenizer on {sum(map(len, sample)) / 1e6:.1f} MB")
    tokenizer = Tokenizer.train(sample, shape.vocab_size)
    tokenizer.save(folder / "tokenizer.json")
    (folder / "withheld.json").write_text(json.dumps(found.withheld))
    train_tokens = encode_all(tokenizer, train, folder / "train.bin")
    if train_tokens <= shape.seq_len:
        raise TooLittle(size_of(found.held_out))
    sizes, token_bytes = {}, tokenizer.token_bytes()
    for name, texts in found.held_out.items():
        tokens = encode_all(tokenizer, texts, folder / f"{name}.bin")
        size = sum(map(len, texts))
        sizes[name] = {"bytes": size, "tokens": tokens, "documents": len(texts)}
        counted = token_bytes[np.fromfile(folder / f"{name}.bin", dtype=np.uint16)]
        if counted.sum(dtype=np.int64) != size:
            raise Problem("the tokens' bytes are not the text's bytes: please report this")
    if (size := sizes[HELD_OUT[0]]["bytes"]) < ROUGH_BYTES:
        say(f"scores will be rough: dev has {size:,} bytes, less than {ROUGH_BYTES:,}")
    facts = {
        "source": source,
        "commit": found.commit,
        "vocab_size": tokenizer.vocab_size,
        "seq_len": shape.seq_len,
        "bos": tokenizer.bos,
        "train_tokens": train_tokens,
        "held_out": sizes,
        "digests": {name: digest(folder / name) for name in FILES},
    }
    with open(folder / "manifest.json", "w") as file:
        json.dump(facts | {"checksum": facts_checksum(facts)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def take_sample(train):
    """(documents for the tokenizer, all documents): evenly spread where they lie in memory."""
    if isinstance(train, list):
        stride = max(1, round(sum(map(len, train)) / TOKENIZER_SAMPLE_BYTES))
        return train[::stride], train
    sample = list(up_to(TOKENIZER_SAMPLE_BYTES, train))
    return sample, itertools.chain(sample, train)


def encode_all(tokenizer, texts, path):
    """Write every text behind a BOS token; returns the number of tokens written."""
    bos, count, size = np.array([tokenizer.bos], dtype=np.uint16), 0, 0
    with open(path, "wb") as file, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for batch in chunks(texts):
            for ids in pool.map(tokenizer.encode, batch):
                file.write(bos)  # not ids.tofile(): that says nothing when the disk is full
                file.write(ids)
                count += 1 + len(ids)
            size += sum(map(len, batch))
            say(f"{path.name}: {size / 1e6:.1f} MB of text, {count / 1e6:.1f} M tokens")
        file.flush()
        os.fsync(file.fileno())
    if path.stat().st_size != 2 * count:
        raise Problem(f"{path} is shorter than what was written to it: is the disk full?")
    return count


def chunks(texts):
    texts = iter(texts)
    while batch := list(up_to(CHUNK_BYTES, texts)):
        yield batch


def say(text):
    print(f"prepare: {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------
# Training: what train.py uses. Before start() there is synthetic data only.
# ------------------------------------------------------------------------------------------------


def synthetic(corpus, batch, time, device="cpu"):
    """Random tokens, (inputs, targets) int64 [batch, time]: to warm up and compile with. They lie
    in memory as those of Run.batches do: what is compiled for one fits the other."""
    import torch  # here and below: checking a corpus must not cost the second that torch needs

    tokens = torch.randint(0, corpus.vocab_size, (batch, time + 1), device=device)
    return tokens[:, :-1], tokens[:, 1:]


def start(corpus, model, config):
    """Everything is built and warm: start the clock. Returns the Run, which gives data from now on.

    Writes the artifact once as a rehearsal, so that a model that cannot be saved fails before the
    budget is spent, and so that the time that saving takes is known.
    """
    gc.enable()
    folder = Path(env("ARTIFACT") or BY_HAND)
    began = time.monotonic()
    write_artifact(model, config, folder)
    reserve = 2 * (time.monotonic() - began) + 0.02
    if not env("HARNESS"):
        tokens = corpus.tokens("train.bin")
        return Run(corpus, tokens, BUDGET_SECONDS, reserve, folder, None)
    harness = socket.socket(fileno=int(env("HARNESS")))
    harness.sendall(b'{"type": "ready"}\n')
    answer, descriptors, _, _ = socket.recv_fds(harness, 65536, 8)
    if not answer:
        raise SystemExit("the harness is gone")
    with open(descriptors[0], "rb") as file:
        tokens = np.memmap(file, dtype=np.uint16, mode="r")
    return Run(corpus, tokens, json.loads(answer)["budget_seconds"], reserve, folder, harness)


def write_artifact(model, config, folder):
    """model.safetensors and config.json, complete or not there."""
    from safetensors.torch import save_model

    folder.mkdir(parents=True, exist_ok=True)
    save_model(model, str(folder / "model.partial"))
    (folder / "config.partial").write_text(json.dumps(config))
    (folder / "model.partial").rename(folder / "model.safetensors")
    (folder / "config.partial").rename(folder / "config.json")


class Run:
    """The timed part of training: data, clock, progress, and the end of it."""

    def __init__(self, corpus, tokens, budget, reserve, folder, harness):
        self.corpus = corpus
        self.budget_seconds = budget
        self._tokens, self._reserve = tokens, reserve
        self._folder, self._harness = folder, harness
        self._steps = []  # seconds of the last few steps
        self._pending = []  # (loss, event) of steps that a GPU still works on
        self._logged = 0.0
        self._tenths = 0  # of the run, as far as a log without a terminal goes
        self._start = self._last = time.monotonic()

    @property
    def seconds(self):
        return time.monotonic() - self._start

    @property
    def progress(self):
        """0 to 1 of the time that may be trained; schedules follow it."""
        return min(1.0, self.seconds / max(1e-9, self.budget_seconds - self._reserve))

    def over(self):
        """True when one more step like the last few would not end in time. Call it once a step."""
        now = time.monotonic()
        self._steps = [*self._steps[-7:], now - self._last]
        self._last = now
        steps = 1 + len(self._pending)
        return self.seconds + steps * max(self._steps) + self._reserve > self.budget_seconds

    def wait(self, loss):
        """Come back when the device has done the step that gave this loss: the clock must see the
        device's time, not the queue's. A GPU stays one step ahead, or it would wait for the host:
        there it is the step before, and that one's loss comes back, in the host's memory."""
        import torch

        if loss.device.type == "mps":
            torch.mps.synchronize()
        if loss.device.type != "cuda":
            return loss
        copy, done = torch.zeros((), pin_memory=True), torch.cuda.Event()
        copy.copy_(loss, non_blocking=True)
        done.record()
        self._pending.append((copy, done))
        if len(self._pending) == 1:
            return loss
        copy, done = self._pending.pop(0)
        done.synchronize()
        return copy

    def batches(self, batch, time, device="cpu"):
        """Endless (inputs, targets), int64 [batch, time]: every row once an epoch, in an order
        that the seed decides."""
        import torch

        order = np.random.default_rng(SEED)
        rows, tokens, pin = np.arange(time + 1), self._tokens, str(device).startswith("cuda")
        if len(tokens) <= time + 1:
            raise SystemExit(f"the corpus has {len(tokens)} tokens: too few for rows of {time}")
        waiting = np.empty(0, dtype=np.int64)
        while True:
            while len(waiting) < batch:
                phase = order.integers(0, min(time, len(tokens) - time - 1))
                starts = np.arange(phase, len(tokens) - time - 1, time)
                waiting = np.concatenate([waiting, order.permutation(starts)])
            block = torch.from_numpy(tokens[waiting[:batch, None] + rows].astype(np.int64))
            waiting = waiting[batch:]
            block = block.pin_memory() if pin else block
            block = block.to(device, non_blocking=pin)  # else it may be freed (pytorch#189690)
            yield block[:, :-1], block[:, 1:]

    def due(self, every=0.25):
        """True about four times a second: the moment to read the loss and to log it."""
        if self._logged and self.seconds - self._logged < every:
            return False
        self._logged = max(self.seconds, 1e-9)
        return True

    def log(self, step, loss, tokens):
        """Say how far it is: to the harness, or on the terminal. For people; it decides nothing,
        but that it ends the program when there is nothing left to train."""
        if not loss < 100:
            end = "" if self._harness else "\n"  # of the line of progress
            raise SystemExit(f"{end}training diverged: the loss is {loss} at step {step}")
        if step == 0:
            return
        if self._harness:
            message = {"type": "progress", "step": step, "loss": round(loss, 5), "tokens": tokens}
            self._harness.sendall(json.dumps(message).encode() + b"\n")
            return
        left = max(0.0, self.budget_seconds - self.seconds)
        rate = tokens / max(self.seconds, 1e-9)
        line = f"step {step:6d} | loss {loss:.4f} | {rate:10,.0f} tokens/s | {left:5.0f} s left"
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        elif (tenths := int(10 * self.progress)) > self._tenths:
            self._tenths = tenths
            print(line, file=sys.stderr, flush=True)

    def submit(self, model, config, settings=None, flops=None, **figures):
        """Hand the model over; the clock stops when the artifact is complete.

        `settings` are the resolved hyperparameters, for the record; `flops` is the arithmetic that
        training took; `figures` are numbers that train.py wants to be known, such as num_steps and
        tokens. Prints the summary. By hand it is scored now, by another process; a harness scores
        it itself, later. Returns val_bpb, or None where a harness is the judge.
        """
        if figures.get("num_steps") == 0:
            raise SystemExit("the budget is too short for a single step")
        write_artifact(model, config, self._folder)
        seconds, device = self.seconds, find_device()
        count = sum(parameter.numel() for parameter in model.parameters())
        found = {"training_seconds": seconds, "peak_memory_mb": peak_memory_mb(device)}
        if flops is not None:
            found["mfu_percent"] = 100 * flops / seconds / speed(device)
        if "tokens" in figures:
            found["total_tokens_M"] = figures["tokens"] / 1e6
        found |= {"num_params": count, "num_params_M": count / 1e6}
        figures = found | figures
        val_bpb = None
        if not self._harness:
            began = time.monotonic()
            figures["startup_seconds"] = self._start - began + time.time() - process_started()
            print(file=sys.stderr)
            free_memory(device)  # the processes that score need it
            try:
                val_bpb = score(self.corpus, self._folder, Path.cwd())["val_bpb"]
            except Cheat as cheat:
                raise Problem(f"not scored: {cheat}") from cheat
            figures["scoring_seconds"] = time.monotonic() - began
        summary = {"val_bpb": val_bpb} if val_bpb is not None else {}
        summary |= {"training_seconds": figures["training_seconds"]}
        summary |= {"total_seconds": time.time() - process_started(), **figures}
        print("---")
        for name, value in summary.items():
            digits = (".6f" if name == "val_bpb" else ".1f") if isinstance(value, float) else ""
            print(f"{name + ':':18}{value:{digits}}")
        if self._harness:  # it may end this process from here on
            sys.stdout.flush()
            settings = {**(settings or {}), **config}
            message = {"type": "done", "config": settings, "figures": figures}
            self._harness.sendall(json.dumps(message).encode() + b"\n")
        return val_bpb


def process_started():
    """When this process began, as time.time() counts."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    return IMPORTED


IMPORTED = time.time()


# ------------------------------------------------------------------------------------------------
# Evaluation: a model sees token ids and nothing else; bytes are counted from the text
# ------------------------------------------------------------------------------------------------

EVAL_BATCH = 16  # rows scored at once; fixed, so that every experiment is scored alike
CONFIG_BYTES = 2**18  # largest config.json of an artifact


@dataclass(frozen=True)
class Text:
    """A held-out split as rows: every token a target exactly once, in order. The last row is
    filled up with BOS, which has no bytes and never counts."""

    name: str
    inputs: np.ndarray  # uint16 [rows, seq_len]
    targets: np.ndarray  # the same shape
    documents: np.ndarray  # int64 [rows * seq_len + 1]: the document of each token
    counted: np.ndarray  # bool [rows, seq_len]: the target has bytes


def held_out_text(corpus, name):
    tokens, length = corpus.tokens(f"{name}.bin"), corpus.seq_len
    rows = math.ceil((len(tokens) - 1) / length)
    padded = np.full(rows * length + 1, corpus.bos, dtype=np.uint16)
    padded[: len(tokens)] = tokens
    targets = padded[1:].reshape(rows, length)
    documents = np.cumsum(padded == corpus.bos)
    counted = corpus.token_bytes()[targets] > 0
    return Text(name, padded[:-1].reshape(rows, length), targets, documents, counted)


def score(corpus, artifact, tree, splits=("dev",)):
    """{"val_bpb": bits per byte of the first split, ...} of an artifact: claimed, then proven.
    This process never runs the experiment's code, and imports no torch."""
    texts = [held_out_text(corpus, name) for name in splits]
    check_artifact(artifact)
    inputs = np.concatenate([text.inputs for text in texts])
    targets = np.concatenate([text.targets for text in texts])
    # Both import the framework now. The second gets its question when the first is dead.
    with Model(corpus, artifact, tree) as claimer, Model(corpus, artifact, tree) as prover:
        claimed = claimer.losses(inputs, targets)
        claimer.stop()
        split_at = np.cumsum([len(text.inputs) for text in texts])[:-1]
        losses = dict(zip(splits, np.split(claimed, split_at), strict=True))
        result = {text.name: judge_losses(losses[text.name], text, corpus) for text in texts}
        positions, weights = choose(texts, losses, known_losses("INCUMBENT", losses))
        logits = prover.logits(question(corpus, inputs, positions), positions[:, 1])
    rows, places = positions.T
    proven = losses_of(logits, targets[rows, places])
    result |= compare(claimed[rows, places].astype(np.float64), proven, weights, reference())
    if env("CLAIM") and "dev" in losses:
        Path(env("CLAIM")).write_bytes(losses["dev"].tobytes())
    result["val_bytes"] = corpus.held_out[splits[0]]["bytes"]
    result["val_tokens"] = int(texts[0].counted.sum())
    return {"val_bpb": result.pop("dev", result.get(splits[0])), **result}


def check_artifact(artifact):
    """Weights and a configuration, both plain files of data."""
    for name in ("config.json", "model.safetensors"):
        if (artifact / name).is_symlink() or not (artifact / name).is_file():
            raise Cheat(f"the artifact's {name} is missing, or no plain file")
    if (artifact / "config.json").stat().st_size > CONFIG_BYTES:
        raise Cheat(f"the artifact's config.json is larger than {CONFIG_BYTES // 1024} KB")
    try:
        if not isinstance(json.loads((artifact / "config.json").read_bytes()), dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise Cheat("the artifact's config.json is no JSON object") from None
    with open(artifact / "model.safetensors", "rb") as file:
        head_bytes, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
        if not 2 <= head_bytes <= size - 8 or file.read(1) != b"{":
            raise Cheat("the artifact's model.safetensors is no safetensors file")


def judge_losses(losses, text, corpus):
    """Losses in nats, float [rows, time] -> bits per byte."""
    counted = losses[text.counted]
    if not np.isfinite(counted).all():
        raise Cheat("the model's losses are not finite numbers")
    if (counted < -1e-4).any():
        raise Cheat("a loss below zero: the model's outputs are not logits")
    size = corpus.held_out[text.name]["bytes"]
    return float(counted.sum(dtype=np.float64) / (math.log(2) * size))


def known_losses(name, losses):
    """The dev losses in the file that AUTORESEARCH_<name> names; None where there are none that
    fit."""
    if not env(name) or "dev" not in losses or not Path(env(name)).is_file():
        return None
    found = np.fromfile(env(name), dtype=np.float32)
    return found.reshape(losses["dev"].shape) if found.size == losses["dev"].size else None


# ------------------------------------------------------------------------------------------------
# The audit: a fresh process that has never seen what follows must come to the same losses
#
# It gets rows whose text ends where it is asked for the next token; unrelated training text fills
# them up, and they come in another order. So it cannot look ahead, use other rows, or have learned
# from the text, even if it knows that it is being audited. It gives all the logits: the softmax is
# taken here. What agrees is causal, normalised, deterministic, and free of state.
#
# Tolerances. Both times the batches have the same shape, so that honest models agree to 1e-5 where
# the device's kernels treat all rows alike. Where they do not, one that computes in bf16 may differ
# by a unit in the last place of a logit, 1/32 nat or so, with either sign: a single position may
# differ by AUDIT_LARGEST. What is allowed grows with what the baseline showed on this machine, but
# only up to a cap: a noisy baseline must not open the door. A cheat could hide below that, so the
# mean is tested, too: rounding has no direction. It may be too good by AUDIT_MEAN and what chance
# explains, where chance is the spread that was found, but never more than AUDIT_SPREAD. So what can
# hide in the score is 0.005 nats a token with 90 positions, and 0.0035 with 256.
# ------------------------------------------------------------------------------------------------

# How far a claimed loss may be from the proven one, in nats.
AUDIT_POSITIONS = 256  # at most; a short text has fewer, because no two may share a document
AUDIT_LARGEST = (0.05, 0.15)  # allowed at one position: at least, and at most
AUDIT_SPREAD = (0.01, 0.03)  # standard deviation that rounding may have, in the same way
AUDIT_FACTOR = 4.0  # in between: so many times what the baseline showed
AUDIT_MEAN = 0.001  # the mean may be too good by this, and by chance:
AUDIT_MEAN_ERRORS = 4.0  # so many standard errors


def choose(texts, losses, incumbent):
    """Positions to prove, int64 [n, 2] (row, place), and the weight of each in the mean.

    Half of them uniform, half in proportion to the square of what each wins over the incumbent:
    where a leak would show. With weights of uniform / mixed probability the mean is that of all
    positions, and no weight is more than 2. No two rows show the same document: else one would
    hold what follows the other.
    """
    chance = np.random.default_rng(int.from_bytes(os.urandom(16), "little"))
    counted = np.concatenate([text.counted for text in texts])
    uniform = counted.ravel() / counted.sum()
    gains = np.zeros(counted.shape)
    if incumbent is not None:
        won = np.nan_to_num(incumbent - losses["dev"], nan=0.0, posinf=0.0).clip(min=0.0)
        gains[: len(won)] = np.square(won, dtype=np.float64)
        gains *= counted
    gains = gains.ravel() / gains.sum() if gains.any() else uniform
    tries = [chance.choice(counted.size, 16 * AUDIT_POSITIONS, p=p) for p in (gains, uniform)]
    first, last = shown_documents(texts)
    used, chosen = np.zeros(last[-1, -1] + 1, dtype=bool), []
    for flat in np.stack(tries, 1).ravel():
        row, place = divmod(int(flat), counted.shape[1])
        shown = used[first[row] : last[row, place] + 1]
        if not shown.any():
            shown[:] = True
            chosen.append(flat)
        if len(chosen) == AUDIT_POSITIONS:
            break
    chosen = chance.permutation(chosen)
    weights = uniform[chosen] / (0.5 * uniform[chosen] + 0.5 * gains[chosen])
    return np.stack(np.divmod(chosen, counted.shape[1]), 1), weights


def shown_documents(texts):
    """The first document of every row [rows], and that of every target [rows, seq_len]; numbered
    through all texts."""
    first, last, before = [], [], 0
    for text in texts:
        first.append(text.documents[:-1].reshape(text.inputs.shape)[:, 0] + before)
        last.append(text.documents[1:].reshape(text.inputs.shape) + before)
        before = last[-1][-1, -1]
    return np.concatenate(first), np.concatenate(last)


def question(corpus, inputs, positions):
    """The rows to ask about: text up to the position, then training text from anywhere."""
    train = np.memmap(corpus.folder / "train.bin", dtype=np.uint16, mode="r")
    chance = np.random.default_rng(int.from_bytes(os.urandom(16), "little"))
    rows = inputs[positions[:, 0]].copy()
    starts = chance.integers(0, len(train) - corpus.seq_len, len(rows))
    for row, place, start in zip(rows, positions[:, 1], starts, strict=True):
        row[place + 1 :] = train[start : start + len(row) - place - 1]
    return rows


def reference():
    """What the audit of the baseline found; {} where that is not known."""
    try:
        return json.loads(Path(env("REFERENCE")).read_text()) if env("REFERENCE") else {}
    except (OSError, ValueError):
        return {}


def losses_of(logits, wanted):
    """Logits [n, vocab], tokens [n] -> losses in nats, float64 [n]."""
    logits = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):
        logits = logits - logits.max(1, keepdims=True)
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(wanted)), wanted]
    if not np.isfinite(losses).all():
        raise Cheat("the model's losses are not finite numbers")
    return losses


def compare(claimed, proven, weights, known):
    """Facts of the audit. Raises Cheat when the claims are not what was proven."""
    difference, ahead = claimed - proven, "the losses depend on more than the text before a token"
    mean = float(np.average(difference, weights=weights))
    largest, spread = float(np.abs(difference).max()), float(difference.std())
    allowed = within(AUDIT_LARGEST, known.get("audit_largest_difference"))
    explained = min(spread, within(AUDIT_SPREAD, known.get("audit_spread")))
    error = math.sqrt(np.square(weights).sum()) / weights.sum()  # of a mean, for a spread of 1
    if wrong := int((np.abs(difference) > allowed).sum()):
        worst = difference[np.abs(difference).argmax()]
        raise Cheat(
            f"{ahead}: at {wrong} of {len(difference)} sampled positions the claimed loss is not "
            f"the proven one (by up to {worst:+.3g} nats, {allowed:.2g} allowed)"
        )
    if mean < -AUDIT_MEAN - AUDIT_MEAN_ERRORS * error * explained:
        raise Cheat(
            f"{ahead}: in the mean of {len(difference)} sampled positions the claimed loss is "
            f"{-mean:.2g} nats lower than the proven one"
        )
    return {
        "audit_positions": len(difference),
        "audit_mean_difference": mean,
        "audit_interval": 1.96 * error * spread,
        "audit_largest_difference": largest,
        "audit_spread": spread,
        "audit_tolerance": allowed,
    }


def within(limits, shown):
    """AUDIT_FACTOR times what the baseline showed, within limits."""
    return min(max(AUDIT_FACTOR * (shown or 0.0), limits[0]), limits[1])


class Model:
    """A process that runs the experiment's model, in a box of its own where there is one.

    It knows nothing but what is written to it, and answers over a descriptor of its own, because
    a model may print. What it prints goes to our standard error.
    """

    def __init__(self, corpus, artifact, tree):
        self._corpus = corpus
        self._reader, writer = os.pipe()
        argv = [*json.loads(env("BOX") or "[]"), sys.executable, "-I", __file__, "model"]
        given = {k: v for k, v in os.environ.items() if not k.startswith("AUTORESEARCH_")}
        self._process = subprocess.Popen(
            argv, cwd=tree, env=given, pass_fds=[writer], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        os.close(writer)
        self._said = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        paths = {"artifact": str(artifact.resolve()), "tree": str(tree.resolve())}
        self._tell({"answer": writer, **paths})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        os.close(self._reader)

    def losses(self, inputs, targets):
        """Its loss of every target in nats, float32 of the same shape."""
        return self._ask(inputs, targets, 1).reshape(targets.shape)

    def logits(self, rows, places):
        """Its logits at one place of every row, float32 [rows, vocab]."""
        return self._ask(rows, places, self._corpus.vocab_size).reshape(len(rows), -1)

    def stop(self):
        """Dead, with all that a box holds, when this returns."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(1)
        self._process.stdin.close()

    def _ask(self, rows, answers, width):
        """Rows, filled up to whole batches, and what is asked of them; one float32 [width] back
        for each of `answers`."""
        filled, answers = whole_batches(rows), answers.astype(np.uint16)
        sizes = {"inputs": filled.shape, "answers": answers.shape}
        sizes["vocab_size"] = self._corpus.vocab_size
        data = filled.tobytes() + answers.tobytes()
        threading.Thread(target=self._tell, args=(sizes, data), daemon=True).start()
        wanted, found = 4 * width * answers.size, bytearray()
        while len(found) < wanted:
            part = os.read(self._reader, min(2**20, wanted - len(found)))
            if not part:
                raise self._failure()
            found += part
        return np.frombuffer(bytes(found), dtype=np.float32)

    def _tell(self, header, data=b""):
        left = memoryview(json.dumps(header).encode() + b"\n" + data)
        with contextlib.suppress(OSError, ValueError):  # it is gone: reading will tell
            while left:
                left = left[self._process.stdin.write(left) :]

    def _listen(self):
        """Pass on what it prints; remember the end of it."""
        with self._process.stdout as output:
            while part := output.read(65536):
                self._said = (self._said + part)[-4096:]
                sys.stderr.write(part.decode("utf-8", "replace"))
                sys.stderr.flush()

    def _failure(self):
        """Why there is no whole answer."""
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return Cheat("the model process closed its answer and went on")
        self._listener.join(1)
        lines = self._said.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if code == 3:
            return Cheat(last.removeprefix("prepare.py: ") or "the model breaks a rule")
        if code == 0:
            return Cheat("the model process ended before it had answered")
        ending = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        return Problem(last.removeprefix("prepare.py: ") or f"the model process failed: {ending}")


def answer(_):
    """The life of a model process: read the question, load, run the model, answer.

    Nothing of the experiment runs before its question is there, and the prover's comes when the
    claimer is dead: two that ran at once could talk, by locks on files that both may read."""
    questions = sys.stdin.buffer
    header = json.loads(questions.readline())
    keep_memory()
    warm_device()
    asked = json.loads(questions.readline())
    inputs, answers = (
        np.frombuffer(questions.read(2 * math.prod(shape)), dtype=np.uint16).reshape(shape)
        for shape in (asked["inputs"], asked["answers"])
    )
    model, device = load_model(Path(header["artifact"]), Path(header["tree"]))
    found = evaluate(model, device, inputs, answers, asked["vocab_size"])
    with open(header["answer"], "wb") as file:
        file.write(found.tobytes())


def warm_device():
    """What takes time and is the framework's alone, while the other process works."""
    gc.disable()  # the many objects of an import stay: looking for garbage costs an eighth of it
    import torch

    some = torch.ones(16, 16, device=find_device())
    some @ some


def whole_batches(rows):
    """The rows, and more up to a multiple of EVAL_BATCH: the model sees batches of one size."""
    return np.pad(rows, ((0, -len(rows) % EVAL_BATCH), (0, 0)))


def evaluate(model, device, inputs, answers, vocab_size):
    """Run the model over whole batches of rows. `answers` are targets [n, time]: float32 losses of
    the same shape; or places [n]: the logits there, [n, vocab]."""
    import torch

    found = []
    with torch.inference_mode():
        for first in range(0, len(answers), EVAL_BATCH):
            rows = slice(first, first + EVAL_BATCH)
            ids = torch.from_numpy(inputs[rows].astype(np.int64)).to(device)
            logits, expected = model(ids), (*ids.shape, vocab_size)
            if tuple(logits.shape) != expected:
                raise Cheat(f"the model returned {tuple(logits.shape)}, not logits {expected}")
            wanted = torch.from_numpy(answers[rows].astype(np.int64)).to(device)
            logits = logits[: len(wanted)]
            if answers.ndim == 1:
                part = logits[torch.arange(len(wanted), device=device), wanted].float()
            else:
                part = torch.nn.functional.cross_entropy(
                    logits.float().flatten(0, 1), wanted.flatten(), reduction="none"
                ).view(wanted.shape)
            found.append(part.cpu().numpy())
    return np.concatenate(found)


def load_model(artifact, tree):
    """(model, device): what train.py's build(config) makes, with the artifact's weights."""
    import torch
    from safetensors.torch import load_model as load_weights

    sys.modules["prepare"] = sys.modules[__name__]  # train.py sees this file, not its own copy
    sys.path.append(str(tree))
    spec = importlib.util.spec_from_file_location("train", tree / "train.py")
    train = importlib.util.module_from_spec(spec)
    sys.modules["train"] = train
    spec.loader.exec_module(train)
    gc.enable()
    config = json.loads((artifact / "config.json").read_text())
    device = torch.device(find_device())
    with device:  # a GPU is faster at drawing the first weights, which are thrown away
        model = train.build(config)
    load_weights(model, str(artifact / "model.safetensors"))
    return model.to(device).eval(), device


# ------------------------------------------------------------------------------------------------
# Conveniences for train.py: the device, its speed and memory. They guard no score
# ------------------------------------------------------------------------------------------------

PEAK_TFLOPS = {  # dense bf16 (T4: fp32), from the makers' data sheets
    "H200": 989.5, "H100 PCIe": 756.5, "H100": 989.5, "H20": 148, "B200": 2250, "A100": 312,
    "A10": 125, "A10G": 70, "L40S": 362, "L40": 181, "L4": 121, "RTX 5090": 209.5,
    "RTX 4090": 165.2, "RTX 3090": 71, "T4": 8.1, "MI300X": 1307,
}  # fmt: skip
SM_FLOPS = {  # of a multiprocessor in a clock, by compute capability: fp32 before 8.0, then bf16
    (6, 1): 256, (7, 0): 128, (7, 2): 128, (7, 5): 128, (8, 0): 2048, (8, 6): 1024, (8, 9): 1024,
    (9, 0): 4096, (10, 0): 8192, (12, 0): 1024,
}  # fmt: skip
APPLE_CORE_FLOPS = 3.5e11  # of a Mac's GPU core in fp32, about
CORE_FLOPS = {True: 2.2e11, False: 6e10}  # of a CPU's core, about: with bf16 products, without


def find_device():
    """cuda (also ROCm's name), mps or cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@functools.cache
def fast_dtype(device):
    """bf16 where the device multiplies it fast, else fp32."""
    import torch

    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if device == "cpu" and cpuinfo.exists() else ""
        fast = "avx512_bf16" in flags or "amx_bf16" in flags
        fast = fast and torch.backends.mkldnn.is_available()
    return torch.bfloat16 if fast else torch.float32


@functools.cache
def speed(device):
    """FLOP/s that the device could do at best. A GPU is known by its name, else by its cores and
    clock; a CPU's cores are counted. Only what tells nothing is timed: a timing differs from run to
    run, and a model's size hangs on it."""
    import torch

    if device == "cpu":
        return torch.get_num_threads() * CORE_FLOPS[fast_dtype(device) is torch.bfloat16]
    name = torch.cuda.get_device_name(0) if device == "cuda" else ""
    if re.search(r"\b(MIG|Laptop|Max-Q)\b", name):
        name = ""  # less than the whole card of that name
    known = (tera for part, tera in PEAK_TFLOPS.items() if re.search(rf"\b{part}\b", name))
    return next(known, 0) * 1e12 or computed_speed(device) or timed_speed(device)


def computed_speed(device):
    """FLOP/s of a GPU by its cores and clock; 0 where they do not tell."""
    import torch

    if device == "mps":
        return getattr(torch.backends.mps, "get_core_count", int)() * APPLE_CORE_FLOPS
    if torch.version.hip is not None:
        return 0
    facts = torch.cuda.get_device_properties(0)
    version = (facts.major, facts.minor)
    flops = SM_FLOPS.get(version, 0)
    if "GeForce" in facts.name and version > (8, 0):
        flops /= 2  # sums in fp32 take twice as long there
    return facts.multi_processor_count * 1e3 * getattr(facts, "clock_rate", 0) * flops


def timed_speed(device, size=4096):
    """FLOP/s of a matrix product, the best of a few."""
    import torch

    a = torch.randn(size, size, device=device, dtype=fast_dtype(device))
    best = math.inf
    for _ in range(6):
        began = time.monotonic()
        (a @ a)[0, 0].item()
        best = min(best, time.monotonic() - began)
    return 2 * size**3 / best


def memory_gb(device):
    """What a model may fill, GB of 2^30 bytes."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory / 2**30
    if device == "mps":
        return torch.mps.recommended_max_memory() / 2**30
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def peak_memory_mb(device):
    """The most that was in use so far, MB of 2^20 bytes."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if device == "mps":
        return torch.mps.driver_allocated_memory() / 2**20
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if platform.system() == "Darwin" else 2**10)


def keep_memory():
    """Make glibc keep freed memory: giving it back and faulting it in again, tensor after tensor,
    costs a CPU run a third of its time. What has been imported is no garbage, now or later."""
    gc.freeze()
    gc.enable()
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def rows_that_fit(rows, attempt, device):
    """The number of rows, halved until attempt(rows) does not run out of memory."""
    import torch

    while True:
        try:
            attempt(rows)
            return rows
        except RuntimeError as error:  # torch.OutOfMemoryError is one; others raise it plain
            if rows == 1 or not re.search("out of memory|can't allocate|ALLOC_FAILED", str(error)):
                raise
        rows //= 2
        print(f"out of memory: {rows} rows go through the model at once now", file=sys.stderr)
        if device == "cuda":
            torch.compiler.reset()  # what was compiled for the rows that did not fit
        free_memory(device)


def free_memory(device):
    """Give back what the framework keeps for later tensors."""
    import torch

    if device != "cpu":
        {"cuda": torch.cuda, "mps": torch.mps}[device].empty_cache()


def constants(names):
    """The hyperparameters of a module's globals(): what is written in capitals."""
    kinds = (bool, int, float, str, type(None))
    return {k: v for k, v in names.items() if k.isupper() and isinstance(v, kinds)}


# ------------------------------------------------------------------------------------------------
# Commands
# ------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", nargs="?", default="prepare", choices=COMMANDS)
    default = env("SOURCE") or SOURCE
    parser.add_argument("--source", default=default, help="which corpus (default: %(default)s)")
    options = parser.parse_args()
    try:
        result = COMMANDS[options.command](options)
    except Problem as problem:
        raise SystemExit(f"prepare.py: {problem.code}") from None
    except Cheat as cheat:
        print(f"prepare.py: {cheat}", file=sys.stderr)
        raise SystemExit(3) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except OSError as error:  # a full disk, a cache or a file that this user may not use
        where = "" if error.filename else f" (the cache is {CACHE})"
        raise SystemExit(f"prepare.py: {error}{where}") from None
    if result is not None and env("RESULT"):
        Path(env("RESULT")).write_text(json.dumps(result))


def command_prepare(options):
    began = time.monotonic()
    corpus = prepare(options.source)
    print(f"source:           {corpus.source}")
    print(f"folder:           {corpus.folder}")
    print(f"train_tokens_M:   {corpus.train_tokens / 1e6:.2f}")
    for name in HELD_OUT:
        print(f"{name + '_bytes:':18}{corpus.held_out[name]['bytes']}")
    print(f"vocab_size:       {corpus.vocab_size}")
    print(f"prepare_seconds:  {time.monotonic() - began:.1f}")
    if options.source != (default := env("SOURCE") or SOURCE):
        setting = f"AUTORESEARCH_SOURCE={shlex.quote(options.source)}"
        print(f"train.py still trains on {default}: set {setting}, or SOURCE in prepare.py")
    return {
        "manifest": str(corpus.folder / "manifest.json"),
        "handover": [str(corpus.folder / "train.bin")],
        "withheld": corpus.withheld(),
    }


def command_score(_):
    corpus, artifact = the_corpus(), Path(env("ARTIFACT") or BY_HAND)
    if not (artifact / "config.json").exists():
        raise Problem(f"nothing to score in {artifact}: run `python train.py` first")
    splits = (env("SPLITS") or HELD_OUT[0]).split(",")
    if not set(splits) <= set(HELD_OUT):
        known = ",".join(HELD_OUT)
        raise Problem(f"AUTORESEARCH_SPLITS is {env('SPLITS')!r}: name some of {known}")
    result = score(corpus, artifact, Path(env("TREE") or Path.cwd()), splits)
    print(f"val_bpb:          {result['val_bpb']:.6f}")
    return result


COMMANDS = {"prepare": command_prepare, "score": command_score, "model": answer}


if __name__ == "__main__":
    main()
