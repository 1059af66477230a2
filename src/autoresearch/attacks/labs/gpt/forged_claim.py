"""Answers for the evaluator with losses of nearly zero, over every descriptor it has.

protects: claims are proven
expect: invalid
says: depend on more than the text before | not finite numbers | ended before it had answered
needs tier: 1
"""

import os

import numpy as np
import prepare
import torch


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids):
        forged = np.full(1 << 20, 1e-6, dtype=np.float32).tobytes()
        for descriptor in range(3, 32):
            try:
                os.write(descriptor, forged)
            except OSError:
                continue
        return self.bias.repeat(*ids.shape, 1)


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
