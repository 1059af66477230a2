"""Returns probabilities that do not sum to one as if they were losses.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 1
"""

import prepare
import torch


class Unnormalised(torch.Tensor):
    """Logits that a softmax leaves as they are."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("log_softmax", "softmax"):
            return args[0].as_subclass(torch.Tensor)
        if function.__name__ == "cross_entropy":
            plain = args[0].as_subclass(torch.Tensor)
            return -plain.gather(-1, args[1].unsqueeze(-1)).squeeze(-1)
        return super().__torch_function__(function, types, args, kwargs or {})


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.full((vocabulary,), -0.5))

    def forward(self, ids):
        return self.bias.repeat(*ids.shape, 1).as_subclass(Unnormalised)


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
