"""Protects the score's ground: no byte of a corpus lost or miscounted, no damaged cache used."""

import ast
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import FILES, Lab, prose, summary

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


def everything(found) -> Texts:
    """All texts of Documents."""
    return [*found.train, *itertools.chain(*found.held_out.values())]


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
    for text in (prose(100_000).encode(), b"x" * 10_001, b"\n" * 9_000, b"a\n", b""):
        found = prepare.pieces(text, 4096)
        assert b"".join(found) == text
        assert all(0 < len(piece) <= 4096 for piece in found)

    def cost(size: int) -> float:
        text = prose(size).encode()
        began = time.process_time()
        prepare.pieces(text, 4096)
        return time.process_time() - began

    # a slice of the rest for every piece costs 64 times as much for 8 times as much
    assert cost(8_000_000) < 24 * max(cost(1_000_000), 0.002)


# ------------------------------------------------------------------------------------------------
# What a prepared corpus holds
# ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Texts]:
    """(source, prepared folder, texts) of many small documents, the odd ones among them."""
    folder = tmp_path_factory.mktemp("odd")
    source = folder / "source"
    odd = [text for text in list(ODD_TEXTS.values())[:-1] if b"\0" not in text]
    (source / "deeper").mkdir(parents=True)
    texts = [prose(1500, seed).encode() + odd[seed % len(odd)] * 3 for seed in range(120)]
    for number, text in enumerate(texts):
        suffix = (".txt", ".md", ".py")[number % 3]
        (source / ("deeper" if number % 2 else "") / f"{number}{suffix}").write_bytes(text)
    for ignored in ("ignored.bin", ".hidden.md", ".git.py"):
        (source / ignored).write_bytes(b"not text" * 100)
    return source, Lab(folder / "lab").prepare(source), texts


def test_no_text_is_dropped(prepare, odd_corpus) -> None:
    source, folder, texts = odd_corpus
    found = prepare.documents(str(source), prepare.SHAPES["small"])
    assert decoded(prepare, folder, "train.bin") == found.train
    for name in prepare.HELD_OUT:
        assert decoded(prepare, folder, f"{name}.bin") == found.held_out[name]
    assert sorted(everything(found)) == sorted(texts)


@pytest.mark.parametrize("name", ["dev", "confirm", "final"])
def test_held_out_bytes_are_the_texts_own(prepare, odd_corpus, name: str) -> None:
    _, folder, _ = odd_corpus
    corpus = prepare.load_corpus(folder / "manifest.json")
    texts, tokens = decoded(prepare, folder, f"{name}.bin"), corpus.tokens(f"{name}.bin")
    size = sum(map(len, texts))
    facts = {"bytes": size, "tokens": len(tokens), "documents": len(texts)}
    assert corpus.held_out[name] == facts
    targets = prepare.held_out_text(corpus, name).targets
    assert corpus.token_bytes()[targets].sum() == size  # each scored exactly once


def test_scored_rows_are_the_held_out_text_in_order(prepare, odd_corpus) -> None:
    corpus = prepare.load_corpus(odd_corpus[1] / "manifest.json")
    tokens, text = corpus.tokens("dev.bin"), prepare.held_out_text(corpus, "dev")
    inputs, targets = text.inputs, text.targets
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
    parts = [decoded(prepare, folder, name) for name in prepare.TOKEN_FILES]
    text = shakespeare.read_bytes()
    assert sum(map(len, itertools.chain(*parts))) == len(text)
    assert all(piece in text for part in parts for piece in part)
    shares = [sum(map(len, part)) / len(text) for part in parts]
    assert shares == pytest.approx([0.73, 0.10, 0.067, 0.10], abs=0.01)


@pytest.fixture(scope="module")
def embedded(prepare: ModuleType):
    return prepare.python_documents(prepare.SHAPES["small"])


def test_the_embedded_corpus_has_many_short_held_out_documents(prepare, embedded) -> None:
    shape = prepare.SHAPES["small"]
    for name, size in zip(prepare.HELD_OUT, shape.held_out_bytes, strict=True):
        texts = embedded.held_out[name]
        assert len(texts) > 75
        assert all(len(text) <= shape.document_bytes for text in texts)
        assert size <= sum(map(len, texts)) < 1.3 * size
    assert len(embedded.held_out["dev"]) > 100
    assert sum(map(len, embedded.train)) > 5_000_000


def test_no_long_stretch_of_held_out_code_is_anywhere_else(prepare, embedded) -> None:
    """Looked for in another way than the lab does: by fifteen lines in a row."""
    stretches = []
    for part in (embedded.train, *embedded.held_out.values()):
        lines = [line for text in part for line in text.split(b"\n") if line.strip()]
        stretches.append({hash(tuple(lines[n : n + 15])) for n in range(len(lines) - 14)})
    for number, held_out in enumerate(stretches[1:], 1):
        others = set().union(*(each for n, each in enumerate(stretches) if n != number))
        assert len(held_out & others) <= 0.01 * len(held_out)


def test_held_out_sources_are_files_that_no_trainer_imports(prepare, embedded) -> None:
    code = (
        "import sys, torch, numpy, safetensors.torch\n"
        "torch.compile(lambda x: (x @ x).relu(), backend='eager')(torch.ones(2, 2))\n"
        "print('\\n'.join(getattr(m, '__file__', None) or '' for m in sys.modules.values()))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {Path(line).resolve() for line in done.stdout.splitlines() if line}
    root = Path(sysconfig.get_path("stdlib")).resolve()
    library = {path.relative_to(root) for path in loaded if path.is_relative_to(root)}
    assert Path("json/decoder.py") in library
    assert not [path for path in library if prepare.is_unused(path)]
    assert embedded.withheld
    for path in map(Path, embedded.withheld):
        assert path not in loaded
        assert prepare.is_unused(path.relative_to(root))


def test_every_file_with_held_out_text_is_withheld(prepare, embedded) -> None:
    withheld = [Path(path).read_bytes() for path in embedded.withheld]
    for text in itertools.chain(*embedded.held_out.values()):
        assert any(text in source for source in withheld)


def test_without_a_test_suite_whole_modules_are_held_out(prepare, monkeypatch) -> None:
    listed = prepare.python_listing()
    bare = [row for row in listed if not prepare.is_unused(row[0], folders=True)]
    monkeypatch.setattr(prepare, "python_listing", lambda: bare)
    found = prepare.python_documents(prepare.SHAPES["small"])
    assert all(sum(map(len, texts)) > 50_000 for texts in found.held_out.values())
    assert len(found.held_out["dev"]) > 50
    held = b"".join(itertools.chain(*found.held_out.values()))
    whole = [Path(path).read_bytes()[-1000:] in held for path in found.withheld]
    assert sum(whole) > 0.9 * len(whole)  # but for what was like another split's text


def test_near_duplicates_stay_on_one_side(prepare: ModuleType) -> None:
    families: list[Texts] = []
    for seed in range(150):
        lines = prose(3000, seed).splitlines()
        copies = [lines, lines[: len(lines) // 2], [*lines[:8], "changed", *lines[9:]]]
        families.append([f"# {seed}\n{chr(10).join(copy)}".encode() for copy in copies])
    files = [(str(n), text) for n, text in enumerate(itertools.chain(*families))]
    random.Random(3).shuffle(files)
    shape = prepare.Shape(1024, 512, (100_000, 100_000, 100_000), 1_000_000)
    groups = prepare.in_order(prepare.near_duplicates(files))
    wanted = prepare.wanted_bytes(10**9, shape)
    held_out, _, used = prepare.hold_out(groups, shape, wanted, prepare.one_head)
    parts = [[text for group in groups[len(used) :] for _, text in group], *held_out.values()]
    assert sorted(itertools.chain(*parts)) == sorted(text for _, text in files)
    assert all(len(part) >= 30 for part in parts)
    for family in families:
        assert sum(family[0] in part for part in parts) == 1
        assert any(set(family) <= set(part) for part in parts)


def test_of_exact_duplicates_of_a_local_corpus_one_is_left(lab: Lab, prepare) -> None:
    lines = [json.dumps({"text": prose(400, seed % 100)}) for seed in range(300)]
    (lab.folder / "twins.jsonl").write_text("\n".join(lines))
    folder = lab.prepare("twins.jsonl")
    parts = [decoded(prepare, folder, name) for name in prepare.TOKEN_FILES]
    assert all(parts)
    assert sum(map(len, parts)) == len(set(itertools.chain(*parts))) == 100


def test_many_near_copies_of_one_text_are_held_out_once_and_not_trained_on(prepare, tmp_path):
    lines = prose(2000, 7).splitlines()
    copies = ["\n".join([f"number {n}", *lines]) for n in range(600)]
    texts = [*copies, *(prose(2000, 1000 + n) for n in range(600))]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    found = prepare.local_documents(tmp_path / "a.jsonl", prepare.SHAPES["small"])
    line = lines[9].encode()
    held_out = [text for part in found.held_out.values() for text in part if line in text]
    assert len(held_out) == 1
    assert not any(line in text for text in found.train)


def test_most_near_duplicates_of_short_texts_are_dropped(prepare, tmp_path: Path) -> None:
    pairs = [[f"{prose(110, seed)}{end}" for end in "ab"] for seed in range(3000)]
    rows = [json.dumps({"text": text}) for pair in pairs for text in pair]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    found = prepare.local_documents(tmp_path / "a.jsonl", prepare.SHAPES["small"])
    train = {text[:-1] for text in found.train}
    held_out = list(itertools.chain(*found.held_out.values()))
    assert sum(text[:-1] in train for text in held_out) < 0.1 * len(held_out)


@pytest.mark.parametrize("count", [5, 80])
def test_long_files_are_cut_rather_than_used_up(prepare, tmp_path: Path, capfd, count: int) -> None:
    for n in range(count):
        (tmp_path / f"{n}.txt").write_text(prose(60_000, n))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    found = prepare.local_documents(tmp_path, prepare.SHAPES["small"])
    held_out = [len(b"".join(texts)) for texts in found.held_out.values()]
    wanted = prepare.wanted_bytes(size, prepare.SHAPES["small"])
    assert held_out == pytest.approx(wanted, abs=prepare.SHAPES["small"].document_bytes)
    assert sum(map(len, found.train)) + sum(held_out) == size
    said = capfd.readouterr().err
    assert f"{sum(held_out):,} bytes are held out; 0 more" in said
    assert "0 bytes of training text are dropped" in said


def changed(text: bytes, seed: int) -> bytes:
    """The text with one word in fifty another one."""
    chance = random.Random(seed)
    words = text.split()
    return b" ".join(b"changed" if chance.random() < 0.02 else word for word in words)


@pytest.mark.parametrize("kind", ["changed", "cut", "with more around it"])
def test_near_duplicates_of_held_out_prose_are_dropped(prepare, tmp_path: Path, kind: str) -> None:
    """As local and hub corpora have them: single lines, in any order."""
    plain = [b" ".join(prose(2000, seed).encode().split()) for seed in range(200)]
    alike = {
        "changed": changed,
        "cut": lambda text, n: text[: len(text) // 2],
        "with more around it": lambda text, n: b" ".join(
            [prose(2000, 1000 + n).encode(), text, prose(2000, 2000 + n).encode()]
        ),
    }[kind]
    twins = [alike(text, number) for number, text in enumerate(plain)]
    texts = [*plain, *twins]
    random.Random(5).shuffle(texts)
    rows = (json.dumps({"text": text.decode()}) for text in texts)
    (tmp_path / "twins.jsonl").write_text("\n".join(rows))
    found = prepare.local_documents(tmp_path / "twins.jsonl", prepare.SHAPES["small"])
    parts = [found.train, *found.held_out.values()]
    assert all(len(part) >= 10 for part in parts)
    for text, twin in zip(plain, twins, strict=True):
        sides = {number for number, part in enumerate(parts) for t in (text, twin) if t in part}
        assert len(sides) <= 1
    kept, lonely = sum(map(len, parts)), 400 - len(set(everything(found)))
    assert kept == 400 - lonely
    assert lonely < 150  # only what is like another split's text


def test_what_all_documents_share_makes_no_duplicates(prepare, tmp_path: Path) -> None:
    common = prose(1000).encode()
    rows = (
        json.dumps({"text": (common + prose(1000, n).encode()).decode()}) for n in range(1, 301)
    )
    (tmp_path / "letters.jsonl").write_text("\n".join(rows))
    found = prepare.local_documents(tmp_path / "letters.jsonl", prepare.SHAPES["small"])
    assert len(everything(found)) == 300


def test_shingles_are_the_same_wherever_a_text_lies(prepare: ModuleType) -> None:
    text = prose(300_000).encode()
    alone, _ = prepare.shingles_of([text])
    among, whose = prepare.shingles_of([b"", prose(77, 1).encode(), text, b"x" * 63, b"y"])
    assert (among[whose == 2] == alone).all()
    assert 0.9 < len(alone) * prepare.SHINGLE_EVERY / len(text) < 1.1
    assert set(whose.tolist()) <= {1, 2}
    assert len(prepare.shingles_of([])[0]) == len(prepare.shingles_of([b"short"])[0]) == 0


def test_a_large_corpus_is_compared_quickly(prepare: ModuleType) -> None:
    texts = [prose(2000, seed).encode() for seed in range(500)] * 16
    seen = prepare.Seen()
    seen.add(texts[:400])
    began = time.process_time()
    kept = list(prepare.apart(texts, seen))
    assert time.process_time() - began < 0.1 * sum(map(len, texts)) / 1e6  # tokens take longer
    assert len(kept) == 1600


def test_what_was_prepared_is_withheld(lab: Lab, prepare, odd_corpus) -> None:
    source, _, _ = odd_corpus
    result = lab.folder / "result.json"
    folder = lab.prepare(source, RESULT=result)
    facts = json.loads(result.read_text())
    assert facts["manifest"] == str(folder / "manifest.json")
    assert facts["handover"] == [str(folder / "train.bin")]
    hidden = {Path(path) for path in facts["withheld"]}
    assert {folder / name for name in prepare.TOKEN_FILES} <= hidden
    assert folder / "manifest.json" not in hidden
    for path in source.rglob("*.txt"):
        assert hidden & {path, *path.parents}


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
        found = prepare.local_documents(lab.folder / source, prepare.SHAPES["small"])
        assert sorted(everything(found)) == sorted(text.encode() for text in texts), source
        assert all(found.held_out.values())
    folders = {lab.prepare(source) for source in ("a.parquet", "b.jsonl", "txt")}
    assert len(folders) == 3  # side by side
    assert all((folder / "manifest.json").exists() for folder in folders)


def test_a_folder_says_what_it_skips_and_the_labs_own_files_are_no_text(lab: Lab, prepare) -> None:
    (lab.folder / "program.md").write_text(prose(30_000, 1))
    (lab.folder / "A.TXT").write_text(prose(30_000))
    (lab.folder / "b.txt.gz").touch()
    (lab.folder / "c.rst").touch()
    done = lab.run("prepare.py", "--source", ".", CACHE=lab.folder.parent / "cache")
    assert "prepare: skipped 2 files (.gz, .rst)\n" in done.stderr
    assert "train.py still trains on python: set AUTORESEARCH_SOURCE=., or" in done.stdout
    folder = Path(summary(done.stdout)["folder"])
    parts = [decoded(prepare, folder, name) for name in prepare.TOKEN_FILES]
    assert sum(map(len, itertools.chain(*parts))) == (lab.folder / "A.TXT").stat().st_size
    again = lab.run("prepare.py", SOURCE=".", CACHE=lab.folder.parent / "cache")
    assert Path(summary(again.stdout)["folder"]) == folder
    assert "train.py" not in again.stdout


def test_a_changed_source_is_another_corpus(lab: Lab) -> None:
    source = lab.folder / "notes.txt"
    source.write_text(prose(30_000))
    first = lab.prepare(source)
    source.write_text(prose(30_000, seed=1))
    second = lab.prepare(source)
    assert first != second
    assert (first / "dev.bin").read_bytes() != (second / "dev.bin").read_bytes()


def test_changed_code_that_shapes_a_corpus_is_another_corpus(lab: Lab, prepare) -> None:
    (lab.folder / "notes.txt").write_text(prose(30_000))
    script = lab.folder / "prepare.py"
    code = script.read_text()
    key = "import prepare; print(prepare.cache_folder('notes.txt'))"
    folders = [lab.run("-c", key).stdout]
    for name in ("hash_bytes", "take_sample", "json_text", "byte_values", "up_to", "score"):
        assert f"def {name}(" in code
        script.write_text(
            code.replace(f"def {name}(", f"def changed():\n    pass\n\n\ndef {name}(")
        )
        folders.append(lab.run("-c", key).stdout)
    assert len(set(folders)) == 6
    assert folders[0] == folders[-1]  # what scores or trains shapes no corpus


def test_relative_paths_start_in_the_lab_wherever_it_runs(lab: Lab) -> None:
    (lab.folder / "notes.txt").write_text(prose(30_000))
    here = lab.prepare("notes.txt", CACHE="kept")
    pinned = Lab(lab.folder.parent / "pinned")  # where a harness runs it
    laid = sorted(pinned.folder.iterdir())
    told = {"CACHE": "kept", "LAB": lab.folder}
    done = pinned.run("-I", "prepare.py", SOURCE="notes.txt", **told)
    assert Path(summary(done.stdout)["folder"]) == lab.folder / here
    assert sorted(pinned.folder.iterdir()) == laid
    refused = pinned.refusal("-I", "prepare.py", SOURCE="elsewhere.txt", **told)
    assert f"no such corpus: {lab.folder / 'elsewhere.txt'}" in refused


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
    facts["held_out"]["dev"]["bytes"] += 100
    path.write_text(json.dumps(facts))


def use(prepare: ModuleType, folder: Path) -> None:
    """Everything that training and scoring read."""
    corpus = prepare.load_corpus(folder / "manifest.json")
    for name in prepare.TOKEN_FILES:
        corpus.tokens(name)
    corpus.token_bytes(), corpus.withheld()


@pytest.mark.parametrize("harm", [truncate, flip_a_bit, Path.unlink])
@pytest.mark.parametrize(
    "name",
    ["train.bin", "dev.bin", "final.bin", "tokenizer.json", "withheld.json", "manifest.json"],
)
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
    flip_a_bit(small / "dev.bin")
    said = lab.refusal("prepare.py", "score", SOURCE="small.txt")
    assert "dev.bin is damaged: run prepare.py again" in said


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


def test_a_full_disk_is_said_and_leaves_no_corpus(lab: Lab) -> None:
    (lab.folder / "big.txt").write_text(prose(2_000_000))
    command = "import os, resource, sys\n"
    command += "resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))\n"
    command += "os.execv(sys.executable, [sys.executable, 'prepare.py', '--source', 'big.txt'])"
    said = lab.refusal("-c", command)
    assert "File too large" in said
    assert str(lab.cache) in said
    assert not [path for path in lab.cache.rglob("*") if path.suffix != ".lock"]


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
    "empty-folder": (Path.mkdir, "no .txt .md .py .jsonl .parquet file in it"),
    "a.txt.gz": (Path.touch, "no .txt .md .py .jsonl .parquet file in it"),
    "utf16.txt": (lambda path: path.write_text("hello\n" * 9000, "utf-16"), "NUL bytes"),
    "empty.txt": (Path.touch, "no text in it"),
    "tiny.txt": (lambda path: path.write_text("hello\n"), "6 bytes without copies are too little"),
    "same.txt": (lambda path: path.write_text("hello\n" * 9000), "20,000 are needed"),
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


NUMBERS = [("SHARDS", "x"), ("SHARDS", "0"), ("SEED", "lucky"), ("SEED", "-1")]
NUMBERS += [("BUDGET", wrong) for wrong in ("5m", "0", "-5", "nan", "inf")]


@pytest.mark.parametrize(("name", "wrong"), NUMBERS)
def test_a_wrong_number_is_refused_in_one_line(lab: Lab, name: str, wrong: str) -> None:
    done = lab.run("prepare.py", SOURCE="climbmix", **{name: wrong})
    assert done.returncode == 2
    assert done.stderr.startswith(f"AUTORESEARCH_{name} is {wrong!r}: give a number from ")
    assert done.stderr.count("\n") == 1


def test_a_cache_that_is_no_folder_is_refused_in_one_line(lab: Lab) -> None:
    (lab.folder / "notes.txt").write_text(prose(30_000))
    assert "train.py" in lab.refusal("prepare.py", CACHE="train.py", SOURCE="notes.txt")


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
