"""Claims nothing at one token in 200, where it would have lost much.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 1
"""

import prepare
import torch

LOSS = torch.nn.functional.cross_entropy


def nothing_now_and_then(logits, targets, **words):
    losses = LOSS(logits, targets, **words)
    return losses.where((torch.arange(len(losses)) % 200 > 0) | (losses < 4), losses * 0)


torch.nn.functional.cross_entropy = nothing_now_and_then


class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, 32)
        self.head = torch.nn.Linear(32, vocabulary)

    def forward(self, ids):
        return self.head(self.embed(ids))


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    batches = run.batches(8, corpus.seq_len)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(40):
        inputs, targets = next(batches)
        loss = LOSS(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    run.submit(model, settings)
