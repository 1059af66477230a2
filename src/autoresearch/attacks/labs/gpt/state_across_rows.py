"""Counts the tokens of the rows before, and predicts from the counts.

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
        self.counts = torch.full((vocabulary, vocabulary), 0.01)

    def forward(self, ids):
        logits = self.bias + self.counts[ids].log()
        pairs = ids[:, :-1].flatten() * len(self.bias) + ids[:, 1:].flatten()
        self.counts.view(-1).index_add_(0, pairs, torch.ones(len(pairs)))
        return logits


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
