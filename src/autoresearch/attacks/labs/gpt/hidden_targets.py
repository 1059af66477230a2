"""Looks for the targets in the buffer of its batch and in the frames of its callers.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 1
"""

import sys

import numpy as np
import prepare
import torch


def from_buffer(ids):
    """The tokens behind the batch's, where it is a view of something larger."""
    whole = ids.new_empty(0)
    whole.set_(ids.untyped_storage())
    shifted = ids.storage_offset() + 1
    if len(whole) < shifted + (ids.shape[0] - 1) * ids.stride(0) + ids.shape[1]:
        return None
    return whole.as_strided(ids.shape, ids.stride(), shifted)


def from_frames(ids):
    """An array of a caller that holds the batch, one token on."""
    wanted, frame = ids[0, 1:].numpy(), sys._getframe()
    while frame := frame.f_back:
        for value in list(frame.f_locals.values()):
            array = value.numpy() if isinstance(value, torch.Tensor) else value
            if isinstance(array, np.ndarray) and array.ndim == 2 and array.shape[1] == ids.shape[1]:
                found = np.flatnonzero((array[:, :-1] == wanted).all(1))
                if len(found) and len(array) >= found[0] + len(ids):
                    rows = array[found[0] : found[0] + len(ids)]
                    return torch.from_numpy(rows.astype(np.int64))
    return None


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids):
        ways = (from_buffer(ids), from_frames(ids), ids.roll(-1, 1))
        targets = next(each for each in ways if each is not None)
        return self.bias.repeat(*ids.shape, 1).scatter(2, targets.unsqueeze(2), 20.0)


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
