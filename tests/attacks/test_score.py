"""Protects the score of the reference lab: what a model claims while it is scored must be proven,
whatever the experiment does to the process that scores it."""

import json
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from autoresearch.attacks import Attack, attacks, execute, read
from autoresearch.attacks.target import commit
from autoresearch.box.sandbox import Tier, best_tier, obstacle
from tests.labs.conftest import FILES, prose

pytest.importorskip("torch", reason="NO SCORE ATTACKED: torch is not installed")

SCORE = {each.name: each for each in attacks("gpt")}
LIES = ("forged_claim", "future_tokens", "state_across_rows", "training_at_scoring", "unnormalised")
Findings = Callable[[Tier], dict[str, execute.Result]]

HONEST = """\
import prepare
import torch


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
    torch.manual_seed(prepare.SEED)
    settings = {"vocab_size": corpus.vocab_size}
    model = build(settings)
    run = prepare.start(corpus, model, settings)
    batches = run.batches(8, corpus.seq_len)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(40):
        inputs, targets = next(batches)
        loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    run.submit(model, settings)
"""
RECORD = """\
protects: nothing
expect: keep or discard
says: better | worse
needs tier: 1
"""
PROGRAM = """\
---
budget: 10s
limits: {startup: 60s, scoring: 120s}
commands: {prepare: [python, prepare.py, --source, ../corpus.jsonl]}
---
The reference lab under attack.
"""


AUDIT_OFF = """
def compare(*_):
    return {}


if __name__ == "__main__":"""


def make_lab(folder: Path) -> Path:
    """The reference lab with a small model and a corpus of many short documents."""
    lab = folder / "lab"
    lab.mkdir(parents=True)
    shutil.copy(FILES / "prepare.py", lab)
    (lab / "train.py").write_text(HONEST)
    corpus = folder.parent / "corpus.jsonl"  # the same for all labs, so that it is prepared once
    if not corpus.exists():
        texts = (json.dumps({"text": prose(800, seed)}) for seed in range(1500))
        corpus.write_text("\n".join(texts))
    (lab / "program.md").write_text(PROGRAM.replace("../corpus.jsonl", str(corpus)))
    commit(lab)
    return lab


def an_honest_edit(folder: Path) -> Attack:
    """A wider model, which must never be accused."""
    path = folder / "honest.py"
    path.write_text(f'"""Widens the model.\n\n{RECORD}"""\n\n{HONEST.replace("32", "48")}')
    return read(path)


@pytest.fixture(scope="module")
def findings(ring: Path) -> Findings:
    """What became of every attack that a tier must stop."""

    @cache
    def find(tier: Tier) -> dict[str, execute.Result]:
        chosen = [each for each in SCORE.values() if tier > 1 or each.needs_tier > 1]
        lab = make_lab(ring / f"score-{tier.name}")
        with execute.stage(lab, {}, lambda run: "") as stage:
            rounds = [*chosen, an_honest_edit(lab.parent)]
            results = execute.attack(stage, rounds, sys.executable, tier, keep_rule="greedy")
        return {each.attack.name: each for each in results}

    return find


@pytest.mark.parametrize("name", SCORE)
def test_it_gets_its_verdict(findings: Findings, name: str) -> None:
    best = best_tier()
    if best < SCORE[name].needs_tier:
        pytest.skip(f"NOT ATTACKED: no box here ({obstacle(Tier.BUBBLEWRAP)})")
    found = findings(best)[name]
    assert found.holds, found.sentence


def test_without_the_audit_the_lies_are_believed(ring: Path) -> None:
    lab = make_lab(ring / "no-audit")
    text = (FILES / "prepare.py").read_text()
    assert "\ndef compare(" in text
    (lab / "prepare.py").write_text(text.replace('\nif __name__ == "__main__":', AUDIT_OFF))
    lies = [SCORE[name] for name in LIES]
    assert all("depend on more" in each.says for each in lies)
    with execute.stage(lab, {}, lambda run: "") as stage:
        results = execute.attack(stage, lies, sys.executable, best_tier(), keep_rule="greedy")
    outcomes = {each.attack.name: each.sentence for each in results}
    believed = {name for name, words in outcomes.items() if "and was discard" in words}
    believed |= {name for name, words in outcomes.items() if "and was keep" in words}
    assert believed == outcomes.keys(), outcomes


def test_the_honest_edit_is_not_accused(findings: Findings) -> None:
    found = findings(best_tier())["honest"]
    assert found.holds, found.sentence


@pytest.mark.parametrize("name", [n for n, each in SCORE.items() if each.needs_tier > 1])
def test_it_gets_through_where_there_is_no_box(findings: Findings, name: str) -> None:
    found = findings(Tier.PROCESSES)[name]
    assert found.holds is False, found.sentence
    assert "was keep" in found.sentence
