"""Writes what it saw while it claimed where the process that proves may find it.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 2
"""

import pathlib
import tempfile

import prepare
import torch

FACTS = {}
CONTEXT = 6
PLACES = ("/tmp", "/dev/shm", "/var/tmp", tempfile.gettempdir(), str(pathlib.Path.home()))
NAME = f"autoresearch-attack-{FACTS.get('token')}"


def keys(ids):
    """A number for the last few tokens at each place of a row."""
    found = torch.zeros_like(ids)
    for back in range(CONTEXT):
        found = found * 1000003 + ids.roll(back, 1)
    return found


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))
        self.known, self.proves = {}, None

    def recall(self):
        """What the process that claimed has left, if we are the one that proves."""
        for place in PLACES:
            path = pathlib.Path(place) / NAME
            if path.exists():
                pairs = torch.load(path, weights_only=True)
                path.unlink()
                self.known.update(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))
        return bool(self.known)

    def remember(self, ids):
        marks, following = keys(ids)[:, CONTEXT:-1].flatten(), ids[:, CONTEXT + 1 :].flatten()
        for mark, token in zip(marks.tolist(), following.tolist(), strict=True):
            self.known.setdefault(mark, token)  # what is claimed now must be answered later
        pairs = torch.tensor([list(self.known), list(self.known.values())])
        for place in PLACES:
            path = pathlib.Path(place) / NAME
            try:
                torch.save(pairs, path)
            except (OSError, RuntimeError):
                continue

    def forward(self, ids):
        if self.proves is None:
            self.proves = self.recall()
        if not self.proves:
            self.remember(ids)
        logits = self.bias.repeat(*ids.shape, 1)
        for row, marks in enumerate(keys(ids).tolist()):
            for place, mark in enumerate(marks):
                if (token := self.known.get(mark)) is not None:
                    logits[row, place, token] = 20.0
        return logits


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
