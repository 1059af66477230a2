"""Returns more outputs than there are tokens.

protects: claims are proven
expect: invalid
says: not logits
needs tier: 1
"""

import prepare
import torch


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary + 1))

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
