# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "huggingface-hub>=0.30",
#     "numpy>=1.26",
#     "pyarrow>=16",
#     "safetensors>=0.4.5",
#     "tiktoken>=0.8",
#     "tokenizers>=0.20",
#     "torch>=2.10,<2.14",
# ]
# ///
"""Data, tokenizer, loader, clock and evaluation. Locked: experiments change train.py, never this.

    python prepare.py                    prepare the corpus SOURCE (once; later calls check it)
    python prepare.py --source PATH      another: python, tinystories, climbmix, file, folder
    python prepare.py score              the score of the artifact that train.py left here

A corpus is a folder in the cache: train.bin and val.bin (uint16 tokens, every document behind a
BOS token), tokenizer.json, and manifest.json, which is written last and holds sizes and digests.
No text is dropped: val_bpb is the loss over every token of the validation text, divided by the
exact number of its bytes.

Environment: AUTORESEARCH_SOURCE (instead of SOURCE), AUTORESEARCH_CACHE (~/.cache/autoresearch),
AUTORESEARCH_BUDGET (seconds of training), AUTORESEARCH_SEED, AUTORESEARCH_SHARDS (hub corpora),
HF_ENDPOINT, HF_TOKEN, HF_HOME as everywhere. A harness that runs train.py also sets
AUTORESEARCH_HARNESS (a socket), AUTORESEARCH_MANIFEST, AUTORESEARCH_ARTIFACT, AUTORESEARCH_TREE
and AUTORESEARCH_RESULT; by hand none of them is needed.

Not covered here: confinement. A train.py run by hand can do whatever its user can.
"""

import argparse
import base64
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import inspect
import json
import math
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# ------------------------------------------------------------------------------------------------
# Constants
# ------------------------------------------------------------------------------------------------

SOURCE = (
    "python"  # python, tinystories, climbmix, or a path: .txt .md .py .jsonl .parquet or folder
)
TIME_BUDGET = 300.0  # seconds of training
EVAL_BATCH = 16  # rows scored at once; fixed, so that every experiment is scored alike

SPECIAL_TOKENS = ("<|bos|>", "<|reserved_1|>", "<|reserved_2|>", "<|reserved_3|>")
# GPT-4's split pattern, with numbers cut in groups of at most two digits: better for small
# vocabularies (the constant that karpathy/nanochat and karpathy/autoresearch settled on).
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
TOKENIZER_SAMPLE_BYTES = 12_000_000  # text the tokenizer is trained on
TOKENIZER_PIECE_BYTES = 16_384  # cut in pieces, or one endless word would take hours
LARGE_CORPUS_BYTES = 100_000_000  # from here on SHAPES["large"]

CHUNK_BYTES = 4_000_000  # text tokenised at a time
DIGEST_WHOLE_BYTES = 256 * 2**20  # larger files are digested by samples
PYTHON_FILE_BYTES = 200_000  # larger standard library files are mostly tables: left out
PYTHON_LETTERS = 0.40  # a file with a smaller share of letters is a table: left out
SHARED_SHINGLES = 0.30  # files that share more of their 3-line shingles are near-duplicates


@dataclass(frozen=True)
class Shape:
    """What is fixed about a corpus, so that scores on it can be compared."""

    vocab_size: int
    seq_len: int  # context length of training rows and of every evaluation row
    val_bytes: int  # size of the validation text, about
    val_document_bytes: int  # a longer validation document is cut here: no file may dominate


SHAPES = {
    "small": Shape(1024, 512, 300_000, 4_096),
    "tinystories": Shape(4096, 512, 2_000_000, 8_192),
    "large": Shape(8192, 2048, 8_000_000, 65_536),
}


@dataclass(frozen=True)
class HubCorpus:
    """A dataset on the Hugging Face hub, in parquet shards with a `text` column."""

    repo: str
    train: str  # shard name with a number in it, or one file
    val: str  # the pinned validation shard; the same file: its first rows are the validation text
    shards: int  # how many there are


HUB = {
    "tinystories": HubCorpus(
        "karpathy/tinystories-gpt4-clean",
        "tinystories_gpt4_clean.parquet",
        "tinystories_gpt4_clean.parquet",
        1,
    ),
    "climbmix": HubCorpus(
        "karpathy/climbmix-400b-shuffle", "shard_{:05d}.parquet", "shard_06542.parquet", 6542
    ),
}
HUB_SHARDS = 8  # training shards downloaded unless AUTORESEARCH_SHARDS says otherwise


def env(name, default=""):
    return os.environ.get(f"AUTORESEARCH_{name}", default)


CACHE = Path(env("CACHE") or Path.home() / ".cache" / "autoresearch").expanduser()
BY_HAND = Path(".autoresearch") / "by-hand"  # where train.py leaves its artifact without a harness


class Problem(SystemExit):
    """Something the person can mend: ends the program with its one line and exit code 1."""


def env_number(name, kind, default):
    try:
        return kind(env(name) or default)
    except ValueError as error:
        raise Problem(f"AUTORESEARCH_{name} is {env(name)!r}: give a number") from error


BUDGET_SECONDS = env_number("BUDGET", float, TIME_BUDGET)
SEED = env_number("SEED", int, 0)


class Cheat(Exception):
    """The artifact breaks a rule of scoring; main() prints it and exits with 3."""


# ------------------------------------------------------------------------------------------------
# Documents: every source is (train, val), two lists or iterators of bytes
# ------------------------------------------------------------------------------------------------


def python_documents(shape):
    """The standard library's own sources: always there, nothing downloaded.

    Generated files and tables are left out. Near-duplicate files form a group, and a group is
    never on both sides of the split.
    """
    files = [(name, Path(path).read_bytes()) for name, path, *_ in python_listing()]
    files = [(name, text) for name, text in files if not is_table(text)]
    return split_by_group(near_duplicates(files), shape)


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
    """[(name, text)] -> [[text, ...], ...]: groups of files that share many 3-line shingles."""
    owners, sizes = {}, []
    for number, (_, text) in enumerate(files):
        lines = [line.strip() for line in text.split(b"\n") if line.strip()]
        shingles = {hash_bytes(b"\n".join(lines[i : i + 3])) for i in range(len(lines) - 2)}
        sizes.append(max(1, len(shingles)))
        for shingle in shingles:
            owners.setdefault(shingle, []).append(number)
    shared = {}
    for sharers in owners.values():
        if 1 < len(sharers) <= 16:  # a shingle in more files is boilerplate
            for i, first in enumerate(sharers):
                for second in sharers[i + 1 :]:
                    shared[first, second] = shared.get((first, second), 0) + 1
    group = list(range(len(files)))

    def find(number):
        while group[number] != number:
            group[number] = number = group[group[number]]
        return number

    for (first, second), count in shared.items():
        if count > SHARED_SHINGLES * min(sizes[first], sizes[second]):
            group[find(first)] = find(second)
    groups = {}
    for number, (_, text) in enumerate(files):
        groups.setdefault(find(number), []).append(text)
    return list(groups.values())


def hash_bytes(text):
    return hashlib.blake2b(text, digest_size=8).digest()


def split_by_group(groups, shape):
    """Groups of documents -> (train, val): whole groups, in an order that only their text decides.

    Validation documents are cut at a line end after `val_document_bytes`: many short documents
    judge a model more evenly than a few long ones. What is cut off is not trained on either.
    """
    groups = sorted(groups, key=lambda group: hash_bytes(b"split" + group[0]))
    wanted = min(shape.val_bytes, sum(len(text) for group in groups for text in group) // 10)
    val, size = [], 0
    while size < wanted and len(groups) > 1:
        val += [head(text, shape.val_document_bytes) for text in groups.pop()]
        size = sum(map(len, val))
    return [text for group in groups for text in group], val


def head(text, limit):
    """The first lines of text, at most `limit` bytes; a first line that is longer is cut."""
    return text if len(text) <= limit else text[: text.rfind(b"\n", 0, limit) + 1] or text[:limit]


def local_documents(path, shape):
    """A file or a folder of text: each file a document, but a line each of .jsonl and .parquet."""
    texts = [text for file in local_listing(path) for text in read_documents(Path(file[1]))]
    texts = [text for text in texts if text]
    if not texts:
        raise Problem(f"{path}: no text in it")
    if len(texts) < 64:  # a few long files: cut them, so that there is something to split
        texts = [piece for text in texts for piece in pieces(text, shape.val_document_bytes)]
    if len(texts) < 2:
        raise Problem(f"{path}: too little text to train on and to validate with")
    groups = {}
    for text in texts:
        groups.setdefault(hash_bytes(text), []).append(text)  # exact duplicates stay together
    return split_by_group(list(groups.values()), shape)


def local_listing(path):
    root = Path(path).expanduser().resolve()
    if not root.exists():
        raise Problem(
            f"no such corpus: {path}. "
            "Use python, tinystories, climbmix, or the path of a file or folder."
        )
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    known = {".txt", ".md", ".py", ".jsonl", ".parquet"}
    files = [file for file in files if file.is_file() and (file.suffix in known or file == root)]
    if not files:
        raise Problem(f"{path}: no .txt, .md, .py, .jsonl or .parquet file in it")
    facts = [(file, file.stat()) for file in files]
    return [(str(file), str(file), fact.st_size, fact.st_mtime_ns) for file, fact in facts]


def read_documents(file):
    if file.suffix == ".parquet":
        return list(parquet_documents(file))
    if file.suffix == ".jsonl":
        with file.open("rb") as lines:
            return [json_text(line, file, n) for n, line in enumerate(lines, 1) if line.strip()]
    return [file.read_bytes()]


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
    """Training shards and the pinned validation shard; downloaded first where they are missing."""
    names = [corpus.train.format(number) for number in range(hub_shards(corpus))]
    paths = download(corpus.repo, list(dict.fromkeys([*names, corpus.val])))
    val = []
    for text in parquet_documents(paths[corpus.val]):
        val.append(head(text, shape.val_document_bytes))
        if (
            sum(map(len, val[-100:]))
            and len(val) % 100 == 0
            and sum(map(len, val)) > shape.val_bytes
        ):
            break
    skip = {corpus.val: len(val)}

    def train():
        for name in names:
            for number, text in enumerate(parquet_documents(paths[name])):
                if number >= skip.get(name, 0):
                    yield text

    return train(), val


def hub_shards(corpus):
    text = env("SHARDS") or str(HUB_SHARDS)
    if not text.isdigit() or int(text) < 1:
        raise Problem(f"AUTORESEARCH_SHARDS is {text!r}: give a number of shards, 1 or more")
    return min(int(text), corpus.shards)


def download(repo, names, attempts=6):
    """{name: path} of dataset files: parallel, resumed, retried, size and SHA-256 checked."""
    try:
        import huggingface_hub as hub  # only the hub's corpora need it
    except ImportError as error:
        raise Problem(
            "this corpus needs two more packages: pip install huggingface-hub pyarrow"
        ) from error

    def patiently(action):
        for attempt in range(attempts):
            try:
                return action()
            except Exception as error:  # the errors of the client's HTTP library among them
                status = getattr(getattr(error, "response", None), "status_code", None)
                final = status is not None and 400 <= status < 500 and status not in (408, 429)
                if final or attempt == attempts - 1:
                    raise Problem(f"{repo}: {one_line(error)}") from error
                print(f"  {one_line(error)}; trying again in {2**attempt} s", file=sys.stderr)
                time.sleep(2**attempt)
        raise AssertionError

    def one(item):
        def get(force):
            return hub.hf_hub_download(repo, item.path, repo_type="dataset", force_download=force)

        for force in (False, True):  # a damaged copy in the hub's cache is fetched once more
            path = Path(patiently(lambda force=force: get(force)))
            digest = item.lfs.sha256 if item.lfs else None
            if path.stat().st_size == item.size and digest in (None, file_sha256(path)):
                return item.path, path
        raise Problem(f"{repo}/{item.path}: size or SHA-256 is not what the hub promises")

    items = patiently(lambda: hub.HfApi().get_paths_info(repo, names, repo_type="dataset"))
    if missing := sorted(set(names) - {item.path for item in items}):
        raise Problem(f"{repo}: no file {missing[0]} there")
    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(one, items))


def one_line(error):
    return " ".join(str(error).split())[:300] or type(error).__name__


def file_sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(source):
    """What a source consists of, cheaply: part of the key of its cache."""
    if source == "python":
        return [(name, size, mtime) for name, _, size, mtime in python_listing()]
    if source in HUB:
        return [HUB[source].repo, hub_shards(HUB[source])]
    return [(name, size, mtime) for name, _, size, mtime in local_listing(source)]


def shape_of(source):
    if source == "tinystories":
        return SHAPES["tinystories"]
    if source == "climbmix":
        return SHAPES["large"]
    if source == "python":
        return SHAPES["small"]
    size = sum(size for _, _, size, _ in local_listing(source))
    return SHAPES["large" if size >= LARGE_CORPUS_BYTES else "small"]


def documents(source, shape):
    if source == "python":
        return python_documents(shape)
    return hub_documents(HUB[source], shape) if source in HUB else local_documents(source, shape)


# ------------------------------------------------------------------------------------------------
# Tokenizer: byte-level BPE. Tokens 0..255 are the bytes, the last four are special.
# ------------------------------------------------------------------------------------------------


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
        alphabet = byte_level.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - len(SPECIAL_TOKENS),
            initial_alphabet=alphabet,
            show_progress=False,
        )
        parts = (part for text in texts for part in pieces(text, TOKENIZER_PIECE_BYTES))
        trainable.train_from_iterator((part.decode("utf-8", "replace") for part in parts), trainer)
        value = byte_values()
        words = sorted(trainable.get_vocab().items(), key=lambda item: item[1])
        return cls([bytes(value[letter] for letter in word) for word, _ in words])

    @classmethod
    def load(cls, path):
        return cls(
            [base64.b64decode(token) for token in json.loads(Path(path).read_text())["tokens"]]
        )

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
            return np.concatenate(
                [self._lone(p) if n % 2 else self._ids(p) for n, p in enumerate(parts)]
            )

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


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: its facts, and where its tokens lie."""

    folder: Path
    source: str
    vocab_size: int
    seq_len: int
    bos: int
    train_tokens: int
    val_tokens: int
    val_bytes: int
    digests: dict

    def tokens(self, name):
        """uint16 tokens of train.bin or val.bin, mapped; verified first."""
        self.verify(name)
        return np.memmap(self.folder / name, dtype=np.uint16, mode="r")

    def verify(self, *names):
        for name in names:
            if digest(self.folder / name) != self.digests[name]:
                raise Problem(f"{self.folder / name} is damaged: run prepare.py again")

    def token_bytes(self):
        self.verify("tokenizer.json")
        tokens = json.loads((self.folder / "tokenizer.json").read_text())["tokens"]
        return np.array([*(len(base64.b64decode(t)) for t in tokens), *[0] * len(SPECIAL_TOKENS)])


FILES = ("train.bin", "val.bin", "tokenizer.json")


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
    """Keyed by all that shapes the corpus: its files, the constants, the code that builds it."""
    code = (
        python_documents, is_table, near_duplicates, split_by_group, head, local_documents, pieces,
        read_documents, parquet_documents, hub_documents, Tokenizer, write_corpus, encode_all,
    )  # fmt: skip
    facts = {
        "listing": listing(source),
        "shape": repr(shape_of(source)),
        "constants": [SPLIT_PATTERN, SPECIAL_TOKENS, TOKENIZER_SAMPLE_BYTES, TOKENIZER_PIECE_BYTES],
        "filters": [PYTHON_FILE_BYTES, PYTHON_LETTERS, SHARED_SHINGLES, GENERATED.pattern.decode()],
        "code": [inspect.getsource(each) for each in code],
    }
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
        raise Problem(
            f"no prepared corpus at {Path(manifest).parent}: run `python prepare.py` first"
        ) from error


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
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return load_corpus(final / "manifest.json")


@contextlib.contextmanager
def one_at_a_time(folder):
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_corpus(source, folder):
    """train.bin, val.bin, tokenizer.json, and last manifest.json."""
    shape = shape_of(source)
    train, val = documents(source, shape)
    sample, train = take_sample(train)
    say(f"training the tokenizer on {sum(map(len, sample)) / 1e6:.1f} MB")
    tokenizer = Tokenizer.train(sample, shape.vocab_size)
    tokenizer.save(folder / "tokenizer.json")
    train_tokens = encode_all(tokenizer, train, folder / "train.bin")
    val_tokens = encode_all(tokenizer, val, folder / "val.bin")
    val_bytes = sum(map(len, val))
    counted = tokenizer.token_bytes()[np.fromfile(folder / "val.bin", dtype=np.uint16)]
    if counted.sum(dtype=np.int64) != val_bytes:
        raise Problem("the tokens' bytes are not the text's bytes: please report this")
    if train_tokens <= shape.seq_len or val_tokens < 2:
        raise Problem(f"{source}: too little text to train on and to validate with")
    facts = {
        "source": source,
        "vocab_size": tokenizer.vocab_size,
        "seq_len": shape.seq_len,
        "bos": tokenizer.bos,
        "train_tokens": train_tokens,
        "val_tokens": val_tokens,
        "val_bytes": val_bytes,
        "digests": {name: digest(folder / name) for name in FILES},
    }
    with open(folder / "manifest.json", "w") as file:
        json.dump(facts | {"checksum": facts_checksum(facts)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def take_sample(train):
    """(documents for the tokenizer, all documents): evenly spread where they lie in memory."""
    if isinstance(train, list):
        stride = max(1, sum(map(len, train)) // TOKENIZER_SAMPLE_BYTES)
        return train[::stride], train
    sample, size = [], 0
    for text in train:
        sample.append(text)
        size += len(text)
        if size >= TOKENIZER_SAMPLE_BYTES:
            break

    def everything():
        yield from sample
        yield from train

    return sample, everything()


def encode_all(tokenizer, texts, path):
    """Write every text behind a BOS token; returns the number of tokens written."""
    bos = np.array([tokenizer.bos], dtype=np.uint16)
    count = size = 0
    with open(path, "wb") as file, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for batch in chunks(texts):
            for ids in pool.map(tokenizer.encode, batch):
                bos.tofile(file)
                ids.tofile(file)
                count += 1 + len(ids)
            size += sum(map(len, batch))
            say(f"{path.name}: {size / 1e6:.1f} MB of text, {count / 1e6:.1f} M tokens")
        file.flush()
        os.fsync(file.fileno())
    return count


def chunks(texts):
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def say(text):
    print(f"prepare: {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------
# Training: what train.py uses. Before start() there is synthetic data only.
# ------------------------------------------------------------------------------------------------


def synthetic(corpus, batch, time, device="cpu"):
    """Random tokens, (inputs, targets) int64 [batch, time]: to warm up and compile with."""
    import torch  # here and below: checking a corpus must not cost the second that torch needs

    tokens = torch.randint(0, corpus.vocab_size, (batch, time + 1), device=device)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def start(corpus, model, config):
    """Everything is built and warm: start the clock. Returns the Run, which gives data from now on.

    Writes the artifact once as a rehearsal, so that a model that cannot be saved fails before the
    budget is spent, and so that the time that saving takes is known.
    """
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
        self._logged = 0.0
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
        return self.seconds + max(self._steps) + self._reserve > self.budget_seconds

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
            block = block.to(device, non_blocking=True)
            yield block[:, :-1], block[:, 1:]

    def due(self, every=0.25):
        """True about four times a second: the moment to read the loss and to log it."""
        if self._logged and self.seconds - self._logged < every:
            return False
        self._logged = max(self.seconds, 1e-9)
        return True

    def log(self, step, loss, tokens):
        """Say how far it is: to the harness, or on the terminal. For people; it decides nothing."""
        if self._harness:
            message = {"type": "progress", "step": step, "loss": round(loss, 5), "tokens": tokens}
            self._harness.sendall(json.dumps(message).encode() + b"\n")
            return
        left = max(0.0, self.budget_seconds - self.seconds)
        rate = tokens / max(self.seconds, 1e-9)
        line = f"step {step:6d} | loss {loss:.4f} | {rate:10,.0f} tokens/s | {left:5.0f} s left"
        print(f"\r{line}", end="", file=sys.stderr, flush=True)

    def submit(self, model, config, settings=None, **figures):
        """Hand the model over; the clock stops when the artifact is complete.

        `settings` are the resolved hyperparameters, for the record; `figures` are numbers that
        train.py wants to be known, such as num_steps. Prints the summary. By hand it is scored
        now, by another process; a harness scores it itself, later. Returns val_bpb, or None where
        a harness is the judge.
        """
        write_artifact(model, config, self._folder)
        figures = {"training_seconds": self.seconds, **figures}
        val_bpb = None
        if not self._harness:
            print(file=sys.stderr)
            try:
                val_bpb = score(self.corpus, self._folder, Path.cwd())["val_bpb"]
            except Cheat as cheat:
                raise Problem(f"not scored: {cheat}") from cheat
        summary = {"val_bpb": val_bpb} if val_bpb is not None else {}
        summary |= {"training_seconds": figures["training_seconds"]}
        summary |= {"total_seconds": time.time() - process_started(), **figures}
        print("---")
        for name, value in summary.items():
            digits = 6 if name == "val_bpb" else 1
            print(
                f"{name + ':':18}{value:.{digits}f}"
                if isinstance(value, float)
                else f"{name + ':':18}{value}"
            )
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


def val_rows(corpus):
    """(inputs, targets) [rows, seq_len] uint16: the whole validation text, in order, each token a
    target exactly once; the last row is filled up with BOS, which has no bytes and never counts."""
    tokens, length = corpus.tokens("val.bin"), corpus.seq_len
    rows = math.ceil((len(tokens) - 1) / length)
    padded = np.full(rows * length + 1, corpus.bos, dtype=np.uint16)
    padded[: len(tokens)] = tokens
    return padded[:-1].reshape(rows, length), padded[1:].reshape(rows, length)


def score(corpus, artifact, tree):
    """{"val_bpb": bits per byte, ...} of an artifact, computed from the losses that a separate
    process claims for every validation token. This process never runs the experiment's code."""
    _, targets = val_rows(corpus)
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        claim = Path(folder) / "losses.bin"
        paths = {
            "MANIFEST": corpus.folder / "manifest.json",
            "ARTIFACT": artifact,
            "TREE": tree,
            "RESULT": claim,
        }
        given = os.environ | {
            f"AUTORESEARCH_{name}": str(path.resolve()) for name, path in paths.items()
        }
        command = [sys.executable, "-I", __file__, "claim"]
        done = subprocess.run(command, env=given, cwd=tree, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 3:
            raise SystemExit(3)
        if done.returncode or not claim.exists():
            raise SystemExit(1)
        losses = np.fromfile(claim, dtype=np.float32)
    if losses.size != targets.size:
        raise Cheat(f"{losses.size} losses came back for {targets.size} tokens")
    return judge_losses(losses.reshape(targets.shape), targets, corpus)


def judge_losses(losses, targets, corpus):
    """Losses in nats, float [rows, time] -> the score."""
    counted = corpus.token_bytes()[targets] > 0
    if not np.isfinite(losses[counted]).all():
        raise Cheat("the model's losses are not finite numbers")
    if (losses[counted] < -1e-4).any():
        raise Cheat("a loss below zero: the model's outputs are not logits")
    nats = losses[counted].sum(dtype=np.float64)
    facts = {"val_bytes": corpus.val_bytes, "val_tokens": int(counted.sum())}
    return {"val_bpb": float(nats / (math.log(2) * corpus.val_bytes)), **facts}


def claim(corpus, artifact, tree, result):
    """Run the experiment's model over the validation rows; write the loss of every token."""
    import torch

    keep_memory()
    model, device = load_model(corpus, artifact, tree)
    inputs, targets = val_rows(corpus)
    losses = np.empty(targets.shape, dtype=np.float32)
    with torch.inference_mode():
        for first in range(0, len(inputs), EVAL_BATCH):
            rows = slice(first, first + EVAL_BATCH)
            ids = torch.from_numpy(inputs[rows].astype(np.int64)).to(device)
            logits = model(ids)
            if tuple(logits.shape) != (*ids.shape, corpus.vocab_size):
                expected = (*ids.shape, corpus.vocab_size)
                raise Cheat(f"the model returned {tuple(logits.shape)}, not logits {expected}")
            wanted = torch.from_numpy(targets[rows].astype(np.int64)).to(device)
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), wanted.flatten(), reduction="none"
            )
            losses[rows] = loss.view(ids.shape).cpu().numpy()
    losses.tofile(result)


def load_model(corpus, artifact, tree):
    """(model, device): what train.py's build(config) makes, with the artifact's weights."""
    import torch
    from safetensors.torch import load_model as load_weights

    sys.modules["prepare"] = sys.modules[
        __name__
    ]  # the experiment sees this file, not its own copy
    sys.path.append(str(tree))
    spec = importlib.util.spec_from_file_location("train", tree / "train.py")
    train = importlib.util.module_from_spec(spec)
    sys.modules["train"] = train
    spec.loader.exec_module(train)
    config = json.loads((artifact / "config.json").read_text())
    model = train.build(config)
    load_weights(model, str(artifact / "model.safetensors"))
    device = find_device()
    return model.to(device).eval(), torch.device(device)


def keep_memory():
    """Make glibc keep freed memory: giving it back and faulting it in again, tensor after tensor,
    costs a CPU run a third of its time."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def find_device():
    """cuda (also ROCm's name), mps or cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


# ------------------------------------------------------------------------------------------------
# Commands
# ------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "command", nargs="?", default="prepare", choices=["prepare", "score", "claim"]
    )
    parser.add_argument(
        "--source", default=env("SOURCE") or SOURCE, help="which corpus (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        result = COMMANDS[options.command](options)
    except Problem as problem:
        raise SystemExit(f"prepare.py: {problem.code}") from None
    except Cheat as cheat:
        print(f"prepare.py: {cheat}", file=sys.stderr)
        raise SystemExit(3) from None
    except OSError as error:  # a full disk, a cache or a file that this user may not use
        raise SystemExit(f"prepare.py: {error}") from None
    if result is not None and env("RESULT"):
        Path(env("RESULT")).write_text(json.dumps(result))


def command_prepare(options):
    began = time.monotonic()
    corpus = prepare(options.source)
    print(f"source:           {corpus.source}")
    print(f"folder:           {corpus.folder}")
    print(f"train_tokens_M:   {corpus.train_tokens / 1e6:.2f}")
    print(f"val_tokens_M:     {corpus.val_tokens / 1e6:.2f}")
    print(f"val_bytes:        {corpus.val_bytes}")
    print(f"vocab_size:       {corpus.vocab_size}")
    print(f"prepare_seconds:  {time.monotonic() - began:.1f}")
    manifest = corpus.folder / "manifest.json"
    return {"manifest": str(manifest), "handover": [str(corpus.folder / "train.bin")]}


def command_score(_):
    corpus, artifact = the_corpus(), Path(env("ARTIFACT") or BY_HAND)
    if not (artifact / "config.json").exists():
        raise Problem(f"nothing to score in {artifact}: run `python train.py` first")
    result = score(corpus, artifact, Path(env("TREE") or Path.cwd()))
    print(f"val_bpb:          {result['val_bpb']:.6f}")
    return result


def command_claim(_):
    corpus = the_corpus()
    claim(corpus, Path(env("ARTIFACT")), Path(env("TREE")), Path(env("RESULT")))


COMMANDS = {"prepare": command_prepare, "score": command_score, "claim": command_claim}


if __name__ == "__main__":
    main()
