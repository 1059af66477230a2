"""Returns a tensor that answers every question for its loss with nearly zero.

protects: claims are proven
expect: invalid or crash
says: depend on more than the text before
needs tier: 1
"""

import prepare
import torch

ASKED = ("cross_entropy", "nll_loss", "log_softmax", "logsumexp")


class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ASKED:
            return torch.full(args[0].shape[:-1], 1e-6)
        return super().__torch_function__(function, types, args, kwargs or {})


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids):
        return self.bias.repeat(*ids.shape, 1).as_subclass(Liar)


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
