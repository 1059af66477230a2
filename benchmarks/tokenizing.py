"""Tokenising and training the tokenizer, beside the libraries alone.

    python benchmarks/tokenizing.py

The text is the embedded corpus. `prepare.py` reads bytes, keeps those that are no UTF-8, puts BOS
between documents and writes a file; the library alone gets text that is decoded already and keeps
nothing. In turns, medians of three; MB are 10^6 bytes.
"""

import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import tiktoken
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

LAB = Path(__file__).parent.parent / "src" / "autoresearch" / "labs" / "gpt"
ROUNDS = 3


def main() -> None:
    prepare = load(LAB / "prepare.py")
    shape = prepare.SHAPES["small"]
    documents = prepare.documents("python", shape).train
    sample, documents = prepare.take_sample(documents)
    tokenizer = prepare.Tokenizer.train(sample, shape.vocab_size)
    megabytes, cores = sum(map(len, documents)) / 1e6, os.cpu_count() or 1
    texts = [text.decode("utf-8", "replace") for text in documents]
    ranks = {token: rank for rank, token in enumerate(tokenizer.tokens)}
    encoding = tiktoken.Encoding(
        "plain", pat_str=prepare.SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )

    def one(text: str) -> None:
        encoding.encode_to_numpy(text, disallowed_special=())

    def library(workers: int) -> None:
        with ThreadPoolExecutor(workers) as pool:
            deque(pool.map(one, texts), maxlen=0)

    def ours(workers: int) -> None:
        os.cpu_count, before = (lambda: workers), os.cpu_count
        try:
            with tempfile.TemporaryDirectory() as folder:
                prepare.encode_all(tokenizer, documents, Path(folder) / "train.bin")
        finally:
            os.cpu_count = before

    prepare.say = lambda _: None
    for workers in sorted({1, cores}):
        compare(
            f"tokenising, {workers} of {cores} cores",
            megabytes / workers,
            lambda workers=workers: ours(workers),
            lambda workers=workers: library(workers),
        )
    compare(
        f"training the tokenizer on {sum(map(len, sample)) / 1e6:.0f} MB, {cores} cores",
        sum(map(len, sample)) / 1e6 / cores,
        lambda: prepare.Tokenizer.train(sample, shape.vocab_size),
        lambda: train_alone(prepare, [text.decode("utf-8", "replace") for text in sample], shape),
    )


def train_alone(prepare: ModuleType, texts: list[str], shape: object) -> None:
    """The library's own trainer, set up as prepare.py sets it up."""
    split = prepare.SPLIT_PATTERN.replace("?+", "?").replace("++", "+")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainable = Tokenizer(models.BPE())
    trainable.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split), "isolated"), byte_level]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocab_size - 4,
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    trainable.train_from_iterator(texts, trainer)


def compare(
    name: str, megabytes: float, ours: Callable[[], None], library: Callable[[], None]
) -> None:
    """Print both rates in MB/s and core, and the share of the library's that ours reaches."""
    mine, its = [], []
    for _ in range(ROUNDS):
        for action, found in ((ours, mine), (library, its)):
            began = time.perf_counter()
            action()
            found.append(time.perf_counter() - began)
    first, second = statistics.median(mine), statistics.median(its)
    print(
        f"{name}: {megabytes / first:.2f} MB/s a core, the library alone {megabytes / second:.2f}: "
        f"{100 * second / first:.0f}%",
        flush=True,
    )


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
