"""Predicts another thing each time that it is asked.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 1
"""

import prepare
import torch


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids):
        return 3 * torch.randn(*ids.shape, len(self.bias)) + self.bias


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
