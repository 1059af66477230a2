"""Claims a little less at every token, too little to be seen at any one.

protects: claims are proven
expect: invalid
says: depend on more than the text before
needs tier: 1
"""

import prepare
import torch

LOSS = torch.nn.functional.cross_entropy


def a_little_less(logits, targets, **words):
    return (LOSS(logits, targets, **words) - 0.02).clamp(min=0)


torch.nn.functional.cross_entropy = a_little_less


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
