"""What the original's train.py imports from its prepare.py, over our corpus: the same tokens, rows
and validation text for both. Its tokenising while it trains falls away, to its advantage.
"""

import math
import time
from pathlib import Path

import ours
import torch

CORPUS = ours.the_corpus()
DEVICE = ours.find_device()
MAX_SEQ_LEN = CORPUS.seq_len
TIME_BUDGET = ours.BUDGET_SECONDS
EVALUATED: list[float] = []  # seconds that it took


class Tokenizer:
    @classmethod
    def from_directory(cls):
        return cls()

    def get_vocab_size(self):
        return CORPUS.vocab_size


def make_dataloader(_tokenizer, batch, time, split):
    assert split == "train"
    run = ours.Run(CORPUS, CORPUS.tokens("train.bin"), TIME_BUDGET, 0.0, Path(), None)
    for x, y in run.batches(batch, time, DEVICE):
        yield x.contiguous(), y.contiguous(), 0


@torch.no_grad()
def evaluate_bpb(model, _tokenizer, _batch):
    """Bits per byte of our whole validation text, as our own scoring takes them."""
    began = time.monotonic()
    text, nats = ours.held_out_text(CORPUS, "dev"), 0.0
    for first in range(0, len(text.inputs), ours.EVAL_BATCH):
        rows = slice(first, first + ours.EVAL_BATCH)
        x, y = (
            torch.from_numpy(part[rows].astype("int64")).to(DEVICE)
            for part in (text.inputs, text.targets)
        )
        counted = torch.from_numpy(text.counted[rows]).to(DEVICE)
        losses = model(x, y, reduction="none").view(y.shape).float()
        nats += (losses * counted).sum(dtype=torch.float64 if DEVICE != "mps" else None).item()
    EVALUATED.append(time.monotonic() - began)
    return nats / (math.log(2) * CORPUS.held_out["dev"]["bytes"])
