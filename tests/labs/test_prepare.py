"""Protects the score's ground: no byte of a corpus lost or miscounted, no damaged cache used."""

import ast
import itertools
import json
import os
import random
import signal
import time
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import FILES, Lab, prose

Texts = list[bytes]

ODD_TEXTS = {
    "lone bytes": b"caf\xe9 \xff\xfe and \x80\x80\x80 then \xf0\x9f\x98 cut",
    "emoji": "🧪 é 👩\u200d👩\u200d👧 \u0301 日本語 ".encode() * 9,
    "NULs": b"a\0b\0\0\0c\n\0",
    "CRLF": b"one\r\ntwo\r\n\r\n\rthree\n\r",
    "specials": b"<|bos|>hi<|reserved_1|><|endoftext|><|bos|><|reserved_3|>",
    "lone surrogates": "a\ud800b\udfff".encode("utf-8", "surrogatepass"),
    "blanks": b" \t  \n\n   \r\n \xc2\xa0 \xe2\x80\x83  ",
    "digits": b"1234567890 12 3 007 \xd9\xa1\xd9\xa2",
    "BOM": b"\xef\xbb\xbfhello",
    "empty": b"",
    "a long run of blanks": b" " * 1_500_000 + b"x",
}


@pytest.fixture(scope="module")
def tokenizer(prepare: ModuleType) -> object:
    return prepare.Tokenizer.train([prose(200_000).encode(), *ODD_TEXTS.values()], 1024)


def decoded(prepare: ModuleType, folder: Path, name: str) -> Texts:
    """The documents that a file of tokens holds, in order."""
    corpus = prepare.load_corpus(folder / "manifest.json")
    tokenizer = prepare.Tokenizer.load(folder / "tokenizer.json")
    found: list[list[int]] = []
    for token in corpus.tokens(name).tolist():
        if token == corpus.bos:
            found.append([])
        else:
            found[-1].append(token)
    return [tokenizer.decode(ids) for ids in found]


# ------------------------------------------------------------------------------------------------
# Bytes and tokens
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_tokens_of_odd_text_are_its_bytes(tokenizer, name: str) -> None:
    text = ODD_TEXTS[name]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.token_bytes()[ids].sum() == len(text)
    assert not (ids >= tokenizer.bos).any()  # text never spells a special token


def test_tokens_of_random_text_are_its_bytes(tokenizer) -> None:
    chance = random.Random(7)
    odd = list(ODD_TEXTS.values())[:-1]
    for _ in range(400):
        kinds = (
            chance.randbytes(chance.randrange(40)),
            "".join(chr(chance.randrange(0xD800)) for _ in range(9)).encode(),
            chance.choice(odd),
        )
        text = b"".join(chance.choices(kinds, k=chance.randint(1, 6)))
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text, text
        assert tokenizer.token_bytes()[ids].sum() == len(text), text


def test_a_saved_tokenizer_is_the_same_one(prepare, tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = prepare.Tokenizer.load(tmp_path / "tokenizer.json")
    assert (loaded.tokens, loaded.bos) == (tokenizer.tokens, tokenizer.bos)
    assert tokenizer.vocab_size == tokenizer.bos + 4
    text = prose(5000).encode()
    assert (loaded.encode(text) == tokenizer.encode(text)).all()
    assert len(tokenizer.encode(text)) < len(text) / 2  # it does compress


def test_an_endless_word_does_not_stall_the_tokenizer(prepare: ModuleType) -> None:
    began = time.monotonic()
    prepare.Tokenizer.train([b"^" * 1_000_000, b"ACGGTTGAACC" * 50_000], 512)
    assert time.monotonic() - began < 20


def test_pieces_lose_nothing_and_cost_little(prepare: ModuleType) -> None:
    began = time.monotonic()
    for text in (prose(8_000_000).encode(), b"x" * 10_001, b"\n" * 9_000, b"a\n", b""):
        found = prepare.pieces(text, 4096)
        assert b"".join(found) == text
        assert all(0 < len(piece) <= 4096 for piece in found)
    assert time.monotonic() - began < 2  # a slice of the rest for every piece took ten seconds


# ------------------------------------------------------------------------------------------------
# What a prepared corpus holds
# ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Texts]:
    """(source, prepared folder, texts) of many small documents, the odd ones among them."""
    folder = tmp_path_factory.mktemp("odd")
    source, odd = folder / "source", list(ODD_TEXTS.values())[:-1]
    (source / "deeper").mkdir(parents=True)
    texts = [prose(1500, seed).encode() + odd[seed % len(odd)] * 3 for seed in range(120)]
    for number, text in enumerate(texts):
        suffix = (".txt", ".md", ".py")[number % 3]
        (source / ("deeper" if number % 2 else "") / f"{number}{suffix}").write_bytes(text)
    (source / "ignored.bin").write_bytes(b"not text" * 100)
    return source, Lab(folder / "lab").prepare(source), texts


def test_no_text_is_dropped(prepare, odd_corpus) -> None:
    source, folder, texts = odd_corpus
    train, val = prepare.documents(str(source), prepare.SHAPES["small"])
    assert decoded(prepare, folder, "train.bin") == train
    assert decoded(prepare, folder, "val.bin") == val
    assert sorted(train + val) == sorted(texts)


def test_validation_bytes_are_the_texts_own(prepare, odd_corpus) -> None:
    _, folder, _ = odd_corpus
    corpus = prepare.load_corpus(folder / "manifest.json")
    val = decoded(prepare, folder, "val.bin")
    assert corpus.val_bytes == sum(map(len, val))
    assert corpus.val_tokens == len(corpus.tokens("val.bin"))
    _, targets = prepare.val_rows(corpus)
    assert corpus.token_bytes()[targets].sum() == corpus.val_bytes  # each scored exactly once


def test_scored_rows_are_the_validation_text_in_order(prepare, odd_corpus) -> None:
    corpus = prepare.load_corpus(odd_corpus[1] / "manifest.json")
    tokens = corpus.tokens("val.bin")
    inputs, targets = prepare.val_rows(corpus)
    assert inputs.shape == targets.shape
    assert inputs.shape[1] == corpus.seq_len
    assert (inputs.ravel()[: len(tokens) - 1] == tokens[:-1]).all()
    assert (targets.ravel()[: len(tokens) - 1] == tokens[1:]).all()
    assert (targets.ravel()[len(tokens) - 1 :] == corpus.bos).all()


def test_preparing_twice_gives_the_same_bytes(lab: Lab, odd_corpus) -> None:
    source, folder, _ = odd_corpus
    again = lab.prepare(source)
    assert again != folder
    assert (again / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


def test_a_single_long_file_is_cut_and_split(prepare, lab: Lab, shakespeare: Path) -> None:
    folder = lab.prepare(shakespeare)
    train, val = (decoded(prepare, folder, name) for name in ("train.bin", "val.bin"))
    text = shakespeare.read_bytes()
    assert sum(map(len, train + val)) == len(text)
    assert all(piece in text for piece in val)
    assert 0.08 < sum(map(len, val)) / len(text) < 0.12


def test_the_embedded_corpus_has_many_short_validation_documents(prepare: ModuleType) -> None:
    shape = prepare.SHAPES["small"]
    train, val = prepare.python_documents(shape)
    assert len(val) > 100
    assert all(len(text) <= shape.val_document_bytes for text in val)
    assert shape.val_bytes <= sum(map(len, val)) < 2 * shape.val_bytes
    assert sum(map(len, train)) > 10_000_000
    assert not {text[:1000] for text in train} & {text[:1000] for text in val if len(text) > 1000}


def test_near_duplicates_stay_on_one_side(prepare: ModuleType) -> None:
    families: list[Texts] = []
    for seed in range(150):
        lines = prose(3000, seed).splitlines()
        copies = [lines, lines[: len(lines) // 2], [*lines[:8], "changed", *lines[9:]]]
        families.append([f"# {seed}\n{chr(10).join(copy)}".encode() for copy in copies])
    files = [(str(n), text) for n, text in enumerate(itertools.chain(*families))]
    random.Random(3).shuffle(files)
    shape = prepare.Shape(1024, 512, 100_000, 1_000_000)
    train, val = prepare.split_by_group(prepare.near_duplicates(files), shape)
    assert sorted(train + val) == sorted(text for _, text in files)
    assert len(val) >= 30
    for family in families:
        assert len({text in val for text in family}) == 1


def test_exact_duplicates_of_a_local_corpus_stay_on_one_side(lab: Lab, prepare) -> None:
    lines = [json.dumps({"text": prose(400, seed % 100)}) for seed in range(300)]
    (lab.folder / "twins.jsonl").write_text("\n".join(lines))
    folder = lab.prepare("twins.jsonl")
    train, val = (decoded(prepare, folder, name) for name in ("train.bin", "val.bin"))
    assert len(train) + len(val) == 300
    assert val
    assert not set(train) & set(val)


# ------------------------------------------------------------------------------------------------
# Sources
# ------------------------------------------------------------------------------------------------


def test_every_kind_of_source_holds_the_same_documents(lab: Lab, prepare) -> None:
    texts = [prose(700, seed) for seed in range(80)]
    table = pa.table({"id": range(80), "text": texts})
    pq.write_table(table, lab.folder / "a.parquet", row_group_size=13)
    rows = "\n\n".join(json.dumps({"text": text, "more": 1}) for text in texts)
    (lab.folder / "b.jsonl").write_text(rows + "\n")
    for suffix in ("txt", "md", "py"):
        (lab.folder / suffix).mkdir()
        for number, text in enumerate(texts):
            (lab.folder / suffix / f"{number}.{suffix}").write_text(text)
    for source in ("a.parquet", "b.jsonl", "txt", "md", "py"):
        train, val = prepare.local_documents(lab.folder / source, prepare.SHAPES["small"])
        assert sorted(train + val) == sorted(text.encode() for text in texts), source
        assert val
    folders = {lab.prepare(source) for source in ("a.parquet", "b.jsonl", "txt")}
    assert len(folders) == 3  # side by side
    assert all((folder / "manifest.json").exists() for folder in folders)


def test_a_changed_source_is_another_corpus(lab: Lab) -> None:
    source = lab.folder / "notes.txt"
    source.write_text(prose(30_000))
    first = lab.prepare(source)
    source.write_text(prose(30_000, seed=1))
    second = lab.prepare(source)
    assert first != second
    assert (first / "val.bin").read_bytes() != (second / "val.bin").read_bytes()


def test_a_very_long_file_name_is_no_obstacle(lab: Lab) -> None:
    source = lab.folder / ("é" * 120 + ".txt")
    source.write_text(prose(30_000))
    assert lab.prepare(source).exists()


# ------------------------------------------------------------------------------------------------
# The cache: complete and sound, or not used
# ------------------------------------------------------------------------------------------------


@pytest.fixture
def small(lab: Lab) -> Path:
    """The prepared folder of small.txt."""
    (lab.folder / "small.txt").write_text(prose(40_000))
    return lab.prepare("small.txt")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def miscount(path: Path) -> None:
    """Still JSON, still plausible: a digit of the byte count is another one."""
    facts = json.loads(path.read_text())
    facts["val_bytes"] += 100
    path.write_text(json.dumps(facts))


def use(prepare: ModuleType, folder: Path) -> None:
    """Everything that training and scoring read."""
    corpus = prepare.load_corpus(folder / "manifest.json")
    corpus.tokens("train.bin"), corpus.tokens("val.bin"), corpus.token_bytes()


@pytest.mark.parametrize("harm", [truncate, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("name", ["train.bin", "val.bin", "tokenizer.json", "manifest.json"])
def test_a_damaged_file_is_never_used_and_prepare_mends_it(
    lab: Lab, small: Path, prepare, name: str, harm
) -> None:
    sound = {path.name: path.read_bytes() for path in small.iterdir()}
    harm(small / name)
    with pytest.raises(prepare.Problem, match=r"python prepare\.py` first|run prepare\.py again"):
        use(prepare, small)
    assert lab.prepare("small.txt") == small
    assert {path.name: path.read_bytes() for path in small.iterdir()} == sound


def test_a_plausible_but_wrong_byte_count_is_not_used(lab: Lab, small: Path, prepare) -> None:
    miscount(small / "manifest.json")
    with pytest.raises(prepare.Problem, match=r"run `python prepare\.py` first"):
        prepare.load_corpus(small / "manifest.json")


@pytest.mark.parametrize(
    ("name", "said"),
    [("train.bin", "is damaged: run prepare.py again"), ("manifest.json", "python prepare.py")],
)
def test_training_refuses_a_damaged_corpus(lab: Lab, small: Path, name: str, said: str) -> None:
    flip_a_bit(small / name)
    assert said in lab.refusal("train.py", SOURCE="small.txt", BUDGET=1)


def test_scoring_refuses_a_damaged_corpus(lab: Lab, small: Path) -> None:
    artifact = lab.folder / ".autoresearch" / "by-hand"
    artifact.mkdir(parents=True)
    (artifact / "config.json").write_text("{}")
    flip_a_bit(small / "val.bin")
    said = lab.refusal("prepare.py", "score", SOURCE="small.txt")
    assert "val.bin is damaged: run prepare.py again" in said


def test_scoring_before_training_says_so(lab: Lab, small: Path) -> None:
    said = lab.refusal("prepare.py", "score", SOURCE="small.txt")
    assert "run `python train.py` first" in said


def test_training_before_preparing_says_so(lab: Lab) -> None:
    (lab.folder / "small.txt").write_text(prose(40_000))
    assert "run `python prepare.py` first" in lab.refusal("train.py", SOURCE="small.txt", BUDGET=1)


def test_a_sound_corpus_is_not_built_again(lab: Lab, small: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in small.iterdir()}
    assert lab.prepare("small.txt") == small
    assert {path.name: path.stat().st_mtime_ns for path in small.iterdir()} == before


@pytest.mark.parametrize("seen", ["", "tokenizer.json", "train.bin"])
def test_a_killed_prepare_leaves_nothing_that_is_used(lab: Lab, seen: str) -> None:
    (lab.folder / "big.txt").write_text(prose(6_000_000))
    with lab.start("prepare.py", "--source", "big.txt") as process:
        while not any((aside / seen).exists() for aside in lab.cache.glob(".big-*")):
            assert process.poll() is None, "prepare ended before the moment to kill it"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not list(lab.cache.glob("*/manifest.json"))
    (lab.folder / "big.txt").touch()
    assert "run `python prepare.py` first" in lab.refusal("prepare.py", "score", SOURCE="big.txt")


def test_what_a_killed_prepare_left_is_swept_by_the_next(lab: Lab, small: Path) -> None:
    left = small.parent / f".{small.name}.left"
    left.mkdir()
    (left / "train.bin").write_bytes(b"half")
    (small / "manifest.json").unlink()
    lab.prepare("small.txt")
    assert not left.exists()
    assert not list(lab.cache.glob(".*"))


def test_two_prepares_at_once_agree(lab: Lab, prepare) -> None:
    (lab.folder / "same.txt").write_text(prose(1_000_000))
    both = [lab.start("prepare.py", "--source", "same.txt") for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    (folder,) = (path for path in lab.cache.iterdir() if path.is_dir())
    prepare.load_corpus(folder / "manifest.json").verify(*prepare.FILES)
    assert sum("training the tokenizer" in err for _, err in outputs) == 1  # the other one waited


# ------------------------------------------------------------------------------------------------
# A person's mistakes: one line, exit code 1
# ------------------------------------------------------------------------------------------------


def write_parquet(path: Path, **columns: list) -> None:
    pq.write_table(pa.table(columns), path)


BAD_SOURCES = {
    "nowhere": (lambda path: None, "no such corpus"),
    "empty-folder": (Path.mkdir, "no .txt, .md, .py, .jsonl or .parquet file in it"),
    "empty.txt": (Path.touch, "no text in it"),
    "tiny.txt": (lambda path: path.write_text("hello\n"), "too little text"),
    "a.jsonl": (lambda path: path.write_text('{"text": "a"}\n\n{"text": \n'), "a.jsonl line 3: "),
    "b.jsonl": (lambda path: path.write_text('{"text": 5}\n'), "b.jsonl line 1: "),
    "c.jsonl": (lambda path: path.write_bytes(b'{"text": "\xff"}\n'), "c.jsonl line 1: "),
    "d.jsonl": (lambda path: path.write_text('["text"]\n'), "d.jsonl line 1: "),
    "a.parquet": (lambda path: path.write_bytes(b"PAR1 garbage PAR1"), "not a parquet file"),
    "b.parquet": (lambda path: write_parquet(path, words=["a"]), 'b.parquet: no column "text"'),
    "c.parquet": (lambda path: write_parquet(path, text=[1, 2]), "column of strings"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_a_bad_source_is_refused_in_one_line(lab: Lab, name: str) -> None:
    make, said = BAD_SOURCES[name]
    make(lab.folder / name)
    line = lab.refusal("prepare.py", "--source", name)
    assert said in line
    assert name in line
    assert not list(lab.cache.glob("*/manifest.json"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SHARDS": "x", "SOURCE": "climbmix"}, "AUTORESEARCH_SHARDS is 'x'"),
        ({"SHARDS": "0", "SOURCE": "climbmix"}, "AUTORESEARCH_SHARDS is '0'"),
        ({"BUDGET": "5m"}, "AUTORESEARCH_BUDGET is '5m': give a number"),
        ({"SEED": "lucky"}, "AUTORESEARCH_SEED is 'lucky': give a number"),
        ({"CACHE": "prepare.py", "SOURCE": "train.py"}, "prepare.py"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(lab: Lab, settings: dict, said: str) -> None:
    assert said in lab.refusal("prepare.py", **settings)


# ------------------------------------------------------------------------------------------------
# The files themselves
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prepare.py", "train.py"])
def test_no_pickle_and_nothing_of_the_engine_is_imported(name: str) -> None:
    tree = ast.parse((FILES / name).read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {module.partition(".")[0] for module in imported}
    assert not roots & {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    assert "autoresearch" not in roots
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "load" not in called or name == "prepare.py"  # torch.load and numpy.load unpickle
