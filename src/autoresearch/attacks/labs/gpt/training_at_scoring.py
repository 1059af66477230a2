"""Trains on each batch that it is scored on, for the next ones.

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
        self.embed = torch.nn.Embedding(vocabulary, 16)
        self.head = torch.nn.Linear(16, vocabulary)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=0.05)

    def forward(self, ids):
        with torch.no_grad():
            logits = self.head(self.embed(ids))
        with torch.inference_mode(False), torch.enable_grad():
            own = ids.clone()
            for _ in range(2):
                guess = self.head(self.embed(own[:, :-1])).flatten(0, 1)
                loss = torch.nn.functional.cross_entropy(guess, own[:, 1:].flatten())
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        return logits


def build(config):
    return Model(config["vocab_size"])


if __name__ == "__main__":
    corpus = prepare.the_corpus()
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    run.submit(model, settings)
