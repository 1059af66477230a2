"""Returns infinite outputs for the next token.

protects: claims are proven
expect: invalid
says: not finite numbers
needs tier: 1
"""

import prepare
import torch


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids):
        logits = self.bias.repeat(*ids.shape, 1)
        return logits.scatter(2, ids.roll(-1, 1).unsqueeze(2), float("inf"))


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
