"""Patches the functions that compute a loss in the process that claims.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 1
"""

import prepare
import torch


def nothing(logits, *_, **__):
    """A loss of nearly zero for each row."""
    return torch.full(logits.shape[:-1], 1e-6)


def certain(logits, *_, **__):
    return torch.full_like(logits, -1e-6)


torch.nn.functional.cross_entropy = torch.nn.functional.nll_loss = nothing
torch.nn.functional.log_softmax = torch.log_softmax = torch.Tensor.log_softmax = certain


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids):
        return self.bias.repeat(*ids.shape, 1)


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
