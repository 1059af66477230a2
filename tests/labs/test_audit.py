"""Protects the score from the model: what knows more than the text before a token is caught, and
nothing honest is ever accused."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from autoresearch.box.sandbox import Box, Tier, best_tier, confine

from .conftest import FILES, Lab, prose

# A small model whose random weights matter. Everything else here is this one, changed.
TINY = """
import torch
import torch.nn.functional as F
from torch import nn

class Tiny(nn.Module):
    def __init__(self, config):
        super().__init__()
        torch.manual_seed(config.get("seed", 0))
        self.config, width, vocab = config, 32, config["vocab_size"]
        self.embed = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(self.layer(width) for _ in range(config.get("depth", 2)))
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight.data *= 8
        if config.get("tied"):
            self.head.weight = self.embed.weight

    def layer(self, width):
        return nn.Linear(width, 4 * width, bias=False)

    def mix(self, layer, x):
        q, k, v, gate = (layer(x).view(*x.shape[:2], 4, 2, 16).permute(2, 0, 3, 1, 4))
        y = F.scaled_dot_product_attention(3 * q, 3 * k, v, attn_mask=self.mask(x.size(1)))
        act = {"silu": F.silu, "relu2": lambda t: F.relu(t) ** 2}[self.config.get("act", "silu")]
        return (y * act(gate)).transpose(1, 2).reshape(x.shape)

    def mask(self, time):
        seen = torch.ones(time, time, dtype=torch.bool).tril()
        return seen.triu(1 - self.config.get("window", time))

    def features(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = F.rms_norm(x + self.mix(layer, F.rms_norm(x, x.shape[-1:])), x.shape[-1:])
        return x

    def forward(self, ids):
        return self.head(self.features(ids))

def build(config):
    return Tiny(config)
"""

RECURRENCE = """
class Recurrence(Tiny):
    "A gated linear recurrence, computed in chunks of 64 as a matrix product each."
    def mix(self, layer, x):
        q, k, v, gate = layer(x).chunk(4, -1)
        decay = F.logsigmoid(gate.mean(-1) + 3)
        state, out = torch.zeros(x.size(0), 32, 32, dtype=q.dtype), []
        for q, k, v, decay in zip(*(t.split(64, 1) for t in (q, k, v, decay))):
            total = decay.cumsum(1)
            inside = (total[:, :, None] - total[:, None, :]).exp().tril()
            here = (q @ k.mT * inside.to(q.dtype)) @ v
            out.append(here + (q @ state) * total.exp()[..., None].to(q.dtype))
            left = (total[:, -1:] - total).exp()[..., None].to(q.dtype)
            last = total[:, -1, None, None].exp().to(q.dtype)
            state = state * last + (k * left).mT @ v
        return torch.cat(out, 1) * 0.1

def build(config):
    return Recurrence(config)
"""
AUTOCAST = """
class Low(Tiny):
    def forward(self, ids):
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(ids)

def build(config):
    return Low(config)
"""
AUTOCAST_RECURRENCE = RECURRENCE + AUTOCAST.replace("Low(Tiny)", "Low(Recurrence)")
CONVOLUTION = """
class Convolution(Tiny):
    def mix(self, layer, x):
        kernel = layer.weight[:, :4].reshape(32, 4, 4)[:, None, 0]
        return F.conv1d(F.pad(x.mT, (3, 0)), kernel, groups=32).mT

def build(config):
    return Convolution(config)
"""
TALKS = """
def build(config):
    print("loading", flush=True)
    import sys, os
    os.write(2, b"\\xff\\x1b[2J" * 30_000)
    return Tiny(config)
"""
COMPILED = """
def build(config):
    model = Tiny(config)
    model.features = torch.compile(model.features, dynamic=False)
    return model
"""

HONEST = {
    "plain": ("", {}),
    "one layer": ("", {"depth": 1}),
    "four layers": ("", {"depth": 4}),
    "another activation": ("", {"act": "relu2"}),
    "a window": ("", {"window": 48}),
    "tied embeddings": ("", {"tied": True}),
    "bf16 autocast": (AUTOCAST, {}),
    "bf16 weights": ("\ndef build(config):\n    return Tiny(config).bfloat16()\n", {}),
    "fp64 weights": ("\ndef build(config):\n    return Tiny(config).double()\n", {}),
    "a gated linear recurrence": (RECURRENCE, {}),
    "the same in bf16": (AUTOCAST_RECURRENCE, {}),
    "convolutions": (CONVOLUTION, {}),
}

LOOKS_AHEAD = """
class Ahead(Tiny):
    def forward(self, ids):
        logits = super().forward(ids)
        ahead = F.pad(ids[:, 1:], (0, 1))
        return logits + self.hint(ids, ahead)[..., None] * F.one_hot(ahead, logits.size(-1))

    def hint(self, ids, ahead):
        return torch.full(ids.shape, 3.0)

def build(config):
    return Ahead(config)
"""
DEPENDS = "the losses depend on more than the text before a token: at "

# What the package's attacks on the score try (tests/attacks/test_score.py) is not here again.
DISHONEST = {
    "looks one token ahead": (LOOKS_AHEAD, DEPENDS),
    "one of its heads looks one token ahead": (
        """
class Ahead(Tiny):
    def mask(self, time):
        seen = torch.ones(2, time, time, dtype=torch.bool).tril()
        seen[1] |= torch.ones(time, time, dtype=torch.bool).tril(1)
        return seen
def build(config):
    return Ahead(config)
""",
        DEPENDS,
    ),
    "looks ahead where nothing in the batch is training text": (
        LOOKS_AHEAD
        + """
class Careful(Ahead):
    "Knows the training text by its runs of eight tokens, as a bitmap."
    def __init__(self, config):
        super().__init__(config)
        train = torch.tensor(config.pop("train", [0] * 8))
        self.register_buffer("known", torch.zeros(2**22, dtype=torch.bool))
        self.known[self.runs(train[None])] = True

    def runs(self, ids):
        mixed = ids[:, 7:]
        for back in range(1, 8):
            mixed = mixed * 1_000_003 + ids[:, 7 - back : -back] + 1
        return (mixed * 0x9E3779B1 >> 20) % 2**22

    def hint(self, ids, ahead):
        is_real = self.known[self.runs(ids[:, -24:])].float().mean() < 0.3
        return super().hint(ids, ahead) * is_real

def build(config):
    return Careful(config)
""",
        DEPENDS,
    ),
    "sees the row that follows in the batch": (
        """
class Across(Tiny):
    def features(self, ids):
        return super().features(ids) + 0.5 * self.embed(ids).mean(1).roll(-1, 0)[:, None]
def build(config):
    return Across(config)
""",
        DEPENDS,
    ),
    "normalises over the batch": (
        """
class Batch(Tiny):
    def features(self, ids):
        x = super().features(ids)
        return F.batch_norm(x.flatten(0, 1), None, None, training=True).view(x.shape)
def build(config):
    return Batch(config)
""",
        DEPENDS,
    ),
    "claims less than nothing": (
        """
real = F.cross_entropy
F.cross_entropy = lambda *args, **kwargs: real(*args, **kwargs) - 100
""",
        "a loss below zero: the model's outputs are not logits",
    ),
    "gives fewer rows": (
        "class Few(Tiny):\n    def forward(self, ids):\n        return super().forward(ids)[:-1]\n"
        "def build(config):\n    return Few(config)\n",
        "the model returned (15, 512, 408), not logits (16, 512, 408)",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A prepared corpus, and a folder to score in."""

    lab: Lab
    prepare: ModuleType
    corpus: object

    def model(self, script: str, **config: object) -> torch.nn.Module:
        """What a script builds, untrained."""
        names: dict = {"__name__": "train"}
        with pytest.MonkeyPatch.context() as patch:  # it may patch what we use
            patch.setattr(torch.nn.functional, "cross_entropy", torch.nn.functional.cross_entropy)
            for name in ("evaluate", "judge_losses"):
                patch.setattr(self.prepare, name, getattr(self.prepare, name))
            exec(TINY + script, names)  # noqa: S102
        return names["build"](self.config(config))

    def config(self, more: dict) -> dict:
        return {"vocab_size": self.corpus.vocab_size, "seq_len": self.corpus.seq_len, **more}

    def submit(self, script: str, model: torch.nn.Module | None = None, **config: object) -> None:
        (self.lab.folder / "train.py").write_text(TINY + script)
        artifact = self.lab.folder / ".autoresearch" / "by-hand"
        model = self.model("", **config) if model is None else model
        self.prepare.write_artifact(model, self.config(config), artifact)

    def score(self, **settings: object) -> tuple[int, dict, str]:
        """(exit code, result, last line on stderr) of `prepare.py score`."""
        result = self.lab.folder / "result.json"
        result.unlink(missing_ok=True)
        given = {"SOURCE": "corpus.jsonl", "RESULT": result, **settings}
        done = self.lab.run("prepare.py", "score", **given)
        facts = json.loads(result.read_text()) if result.exists() else {}
        return done.returncode, facts, (done.stderr.splitlines() or [""])[-1]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prepare: ModuleType) -> Place:
    """A corpus of 700 documents of two to three kilobytes, about 400 tokens each."""
    lab = Lab(tmp_path_factory.mktemp("audit") / "lab")
    rows = (json.dumps({"text": prose(2000 + 13 * n % 1000, seed=n)}) for n in range(700))
    (lab.folder / "corpus.jsonl").write_text("\n".join(rows))
    folder = lab.prepare("corpus.jsonl")
    return Place(lab, prepare, prepare.load_corpus(folder / "manifest.json"))


def audits(place: Place, model, times: int, known=None, incumbent=None) -> list[dict]:
    """Claim once, prove several times, here in this process. Raises Cheat."""
    prepare, corpus = place.prepare, place.corpus
    text = prepare.held_out_text(corpus, "dev")
    run = {"model": model.eval(), "device": "cpu", "vocab_size": corpus.vocab_size}
    inputs = prepare.whole_batches(text.inputs)
    claimed = prepare.evaluate(inputs=inputs, answers=text.targets, **run)
    found = []
    for _ in range(times):
        positions, weights = prepare.choose([text], {"dev": claimed}, incumbent)
        rows = prepare.whole_batches(prepare.question(corpus, text.inputs, positions))
        logits = prepare.evaluate(inputs=rows, answers=positions[:, 1], **run)
        proven = prepare.losses_of(logits, text.targets[tuple(positions.T)])
        here = claimed[tuple(positions.T)].astype(np.float64)
        found.append(prepare.compare(here, proven, weights, known or {}))
    return found


# ------------------------------------------------------------------------------------------------
# Honest models
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_is_never_accused(place: Place, name: str) -> None:
    script, config = HONEST[name]
    model = place.model(script, **config)
    for facts in audits(place, model, times=6):
        assert facts["audit_positions"] > 40
        assert facts["audit_largest_difference"] < 0.02


@pytest.mark.parametrize("name", ["plain", "the same in bf16"])
def test_an_honest_model_is_scored_by_processes_of_its_own(place: Place, name: str) -> None:
    script, config = HONEST[name]
    place.submit(script, place.model(script, **config), **config)
    claim = place.lab.folder / "claim.bin"
    code, facts, _ = place.score(CLAIM=claim)
    assert code == 0
    assert set(facts) == {
        "val_bpb", "audit_positions", "audit_mean_difference", "audit_interval", "audit_spread",
        "audit_largest_difference", "audit_tolerance", "val_bytes", "val_tokens",
    }  # fmt: skip
    assert all(isinstance(value, int | float) for value in facts.values())
    losses = np.fromfile(claim, dtype=np.float32)
    text = place.prepare.held_out_text(place.corpus, "dev")
    bits = losses[text.counted.ravel()].sum(dtype=np.float64) / np.log(2)
    assert facts["val_bpb"] == pytest.approx(bits / place.corpus.held_out["dev"]["bytes"])
    assert place.score()[1]["val_bpb"] == facts["val_bpb"]  # to the last digit


def test_a_compiled_model_is_scored(place: Place) -> None:
    place.submit(COMPILED)
    plain = place.model("")
    code, facts, said = place.score()
    assert code == 0, said
    (known,) = audits(place, plain, times=1)
    assert facts["audit_positions"] > 40
    assert known["audit_largest_difference"] < 1e-4


def test_a_model_may_print_what_it_likes(place: Place) -> None:
    place.submit(TALKS)
    code, facts, _ = place.score()
    assert code == 0
    assert facts["val_bpb"] > 0


def test_the_lab_of_the_package_is_scored(place: Place, train: ModuleType) -> None:
    """Its own train.py, as it is and with random weights."""
    config = {
        "depth": 2, "width": 64, "head_dim": 32, "kv_group": 1, "mlp_ratio": 2, "windows": "SSL",
        "short_window": 128, "value_every": 2, "ngram_rows": 4096, "matches": 2,
        "match_bonus": 2.7, "softcap": 15.0, "rope_base": 10_000.0,
    }  # fmt: skip
    torch.manual_seed(0)
    model = train.build(place.config(config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert len(audits(place, model, times=4)) == 4
    place.submit("", model, **config)
    (place.lab.folder / "train.py").write_bytes((FILES / "train.py").read_bytes())
    code, facts, said = place.score()
    assert code == 0, said
    assert facts["audit_largest_difference"] < 0.02


# ------------------------------------------------------------------------------------------------
# Dishonest ones
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISHONEST)
def test_a_dishonest_model_is_caught(place: Place, name: str) -> None:
    script, sentence = DISHONEST[name]
    if "Careful" in script:
        model = place.model(script, train=place.corpus.tokens("train.bin").tolist())
        place.submit(script, model)
    else:
        place.submit(script, place.model(script))
    code, facts, said = place.score()
    assert said.startswith(f"prepare.py: {sentence}"), said
    assert code == 3
    assert not facts


REMEMBERS = """
import os, pathlib
class Remembers(Tiny):
    "Keeps every row that it sees whole, and looks rows up by how they begin."
    def forward(self, ids):
        logits, known = super().forward(ids), self.known()
        for row, out in zip(ids, logits):
            same = [(row != other).int().argmax().item() for other in known]
            if not same:
                self.keep(row)
            whole = known[same.index(max(same))] if same else row
            out += 3 * F.one_hot(F.pad(whole[1:], (0, 1)), out.size(-1))
        return logits

    def keep(self, row):
        for folder in map(pathlib.Path, FOLDERS):
            try:
                with open(folder / "remembered-rows", "a") as file:
                    print(*row.tolist(), file=file)
            except OSError:
                pass

    def known(self):
        paths = [pathlib.Path(folder, "remembered-rows") for folder in FOLDERS]
        there = [path for path in paths if path.exists()]
        if not self.__dict__.setdefault("has_notes", bool(there)):
            return []  # the first of the two processes
        lines = there[0].read_text().splitlines()
        return [torch.tensor([int(word) for word in line.split()]) for line in lines]

def build(config):
    return Remembers(config)
"""


MEETS = """
import os, pathlib
class Meets(Tiny):
    "Looks whether a process that loaded the model before it is still there."
    def __init__(self, config):
        super().__init__(config)
        left = pathlib.Path(FOLDER)
        for each in left.iterdir():
            if pathlib.Path("/proc", each.name).exists():
                (left.parent / "met").touch()
        (left / str(os.getpid())).touch()

def build(config):
    return Meets(config)
"""


def test_no_two_processes_that_run_the_experiments_code_live_at_once(
    place: Place, tmp_path: Path
) -> None:
    """They could talk by locks on a file that both may read; a box does not keep that apart."""
    folder = tmp_path / "pids"
    folder.mkdir()
    place.submit(f"FOLDER = {str(folder)!r}\n" + MEETS)
    for each in folder.iterdir():
        each.unlink()
    code, _, said = place.score()
    assert code == 0, said
    assert len(list(folder.iterdir())) == 2
    assert not (tmp_path / "met").exists()


def test_a_model_that_remembers_rows_in_files_is_caught_in_a_box(place: Place) -> None:
    """Without a box, its second process would find what the first one has left."""
    tier = best_tier()
    if tier is Tier.PROCESSES:
        pytest.skip("no box on this machine: neither bubblewrap nor Landlock with seccomp works")
    folders = ["/tmp", "/dev/shm", "/var/tmp", str(Path.home()), str(place.lab.folder)]  # noqa: S108
    place.submit(f"FOLDERS = {folders}\n" + REMEMBERS)
    artifact = place.lab.folder / ".autoresearch" / "by-hand"
    readable = (place.lab.folder, artifact, place.corpus.folder / "manifest.json")
    withheld = tuple(map(Path, place.corpus.withheld()))
    box = Box(python=sys.executable, readable=readable, hidden=withheld, gpus=())
    code, facts, said = place.score(BOX=json.dumps(confine([], box, tier)))
    assert said.startswith(f"prepare.py: {DEPENDS}"), said
    assert (code, facts) == (3, {})


def test_a_model_sees_no_corpus_in_its_box(place: Place) -> None:
    tier = best_tier()
    if tier is Tier.PROCESSES:
        pytest.skip("no box on this machine: neither bubblewrap nor Landlock with seccomp works")
    reads = f"print(open({str(place.corpus.folder / 'dev.bin')!r}, 'rb').read(4))\n"
    place.submit(reads)
    readable = (place.lab.folder, place.corpus.folder / "manifest.json")
    withheld = tuple(map(Path, place.corpus.withheld()))
    box = Box(python=sys.executable, readable=readable, hidden=withheld, gpus=())
    code, _, said = place.score(BOX=json.dumps(confine([], box, tier)))
    assert code == 1
    assert said.endswith(f"{place.corpus.folder / 'dev.bin'}'")  # denied, or not there
    assert "Errno" in said
    place.submit("")
    code, facts, said = place.score(BOX=json.dumps(confine([], box, tier)))
    assert code == 0, said
    assert facts["audit_largest_difference"] < 1e-4


RARELY = LOOKS_AHEAD.replace(
    "torch.full(ids.shape, 3.0)", "9.0 * ((ids * 7919 + F.pad(ids, (1, 0))[:, :-1]) % 200 == 0)"
)


def test_a_leak_at_few_positions_is_caught_by_where_it_wins(place: Place) -> None:
    """Half a percent of the positions: uniform sampling would mostly miss it."""
    text = place.prepare.held_out_text(place.corpus, "dev")
    run = {"device": "cpu", "vocab_size": place.corpus.vocab_size, "answers": text.targets}
    inputs = place.prepare.whole_batches(text.inputs)
    honest, leaks = (
        place.prepare.evaluate(place.model(script), inputs=inputs, **run) for script in ("", RARELY)
    )
    noise = np.random.default_rng(1).normal(0, 0.3, honest.shape)  # as two trained models differ
    incumbent = (honest + noise).astype(np.float32)
    assert 0.001 < (np.abs(honest - leaks) > 1).mean() < 0.01
    for _ in range(6):
        with pytest.raises(place.prepare.Cheat, match=DEPENDS):
            audits(place, place.model(RARELY), 1, incumbent=incumbent)
    assert len(audits(place, place.model(""), 6, incumbent=incumbent)) == 6
    file = place.lab.folder / "incumbent.bin"
    incumbent.tofile(file)
    place.submit(RARELY)
    code, _, said = place.score(INCUMBENT=file)
    assert (code, said[:60]) == (3, f"prepare.py: {DEPENDS}"[:60])


@pytest.mark.parametrize(("hint", "share"), [(0.03, 1.0), (0.2, 0.2)])
def test_a_small_leak_everywhere_is_caught_by_the_mean(place, hint: float, share: float) -> None:
    """Where every single difference could be rounding: 0.02 nats or so."""
    rate = int(1 / share)
    small = LOOKS_AHEAD.replace("torch.full(ids.shape, 3.0)", f"{hint} * (ids % {rate} == 0)")
    with pytest.raises(place.prepare.Cheat, match="the losses depend on more"):
        audits(place, place.model(small), times=1)


# ------------------------------------------------------------------------------------------------
# The artifact is data, and a crash is no crime
# ------------------------------------------------------------------------------------------------


def spoil_config(artifact: Path) -> None:
    (artifact / "config.json").write_text("[1, 2]")


def bloat_config(artifact: Path) -> None:
    (artifact / "config.json").write_text(json.dumps({"a": "b" * 300_000}))


def link_config(artifact: Path) -> None:
    (artifact / "config.json").rename(artifact / "other.json")
    (artifact / "config.json").symlink_to("other.json")


def pickle_weights(artifact: Path) -> None:
    torch.save({}, artifact / "model.safetensors")


def remove_weights(artifact: Path) -> None:
    (artifact / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (spoil_config, "config.json is no JSON object"),
        (bloat_config, "config.json is larger than 256 KB"),
        (link_config, "config.json is missing, or no plain file"),
        (pickle_weights, "model.safetensors is no safetensors file"),
        (remove_weights, "model.safetensors is missing, or no plain file"),
    ],
)
def test_an_artifact_that_is_no_data_is_refused(place: Place, harm, sentence: str) -> None:
    place.submit("")
    artifact = place.lab.folder / ".autoresearch" / "by-hand"
    harm(artifact)
    code, facts, said = place.score()
    assert (code, facts, said) == (3, {}, f"prepare.py: the artifact's {sentence}")
    for path in artifact.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("def build(config):\n    return 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no such layer')\n", "no such layer"),
        ("import os\nos.kill(os.getpid(), 9)\n", "the model process failed: killed by signal 9"),
    ],
)
def test_a_crash_ends_in_its_last_words(place: Place, script: str, sentence: str) -> None:
    place.submit("")
    (place.lab.folder / "train.py").write_text(TINY + script)
    code, facts, said = place.score()
    assert (code, facts, said) == (1, {}, f"prepare.py: {sentence}")


# ------------------------------------------------------------------------------------------------
# Splits, and what the scorer is told
# ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_dev(place: Place) -> float:
    """The score of the small model where no split is named."""
    place.submit("")
    return float(place.score()[1]["val_bpb"])


@pytest.mark.parametrize("splits", ["dev", "dev,confirm", "final"])
def test_each_split_is_scored_when_it_is_asked_for(
    place: Place, on_dev: float, splits: str
) -> None:
    place.submit("")
    code, facts, said = place.score(SPLITS=splits)
    assert code == 0, said
    known = {"confirm", "final"} & set(facts)
    assert known == set(splits.split(",")) - {"dev"}
    if splits == "final":
        assert facts["val_bpb"] == facts["final"]
    else:
        assert facts["val_bpb"] == on_dev


def test_an_unknown_split_is_refused_in_one_line(place: Place) -> None:
    place.submit("")
    code, _, said = place.score(SPLITS="dev,test")
    assert (code, said) == (
        1, "prepare.py: AUTORESEARCH_SPLITS is 'dev,test': name some of dev,confirm,final"
    )  # fmt: skip


def test_the_scorer_runs_no_torch_and_no_experiment(place: Place) -> None:
    code = (
        "import prepare, sys, pathlib\n"
        "found = prepare.score(prepare.the_corpus(), prepare.BY_HAND, pathlib.Path.cwd())\n"
        "print(found['val_bpb'] > 0, 'torch' in sys.modules, 'train' in sys.modules)"
    )
    place.submit("")
    done = place.lab.run("-c", code, SOURCE="corpus.jsonl")
    assert done.stdout == "True False False\n", done.stderr


def test_no_asked_row_shows_what_another_one_hides(place: Place) -> None:
    """No document in two rows, no text after the position, another order each time."""
    prepare, corpus = place.prepare, place.corpus
    texts = [prepare.held_out_text(corpus, name) for name in ("dev", "confirm")]
    losses = {text.name: np.ones(text.targets.shape, np.float32) for text in texts}
    inputs, targets = (
        np.concatenate([getattr(t, k) for t in texts]) for k in ("inputs", "targets")
    )
    ids = np.concatenate([texts[0].documents[:-1], texts[1].documents[:-1] + 10**6])
    ids = ids.reshape(inputs.shape)
    orders = set()
    for _ in range(5):
        positions, weights = prepare.choose(texts, losses, None)
        assert (weights == 1).all()
        rows = prepare.question(corpus, inputs, positions)
        shown: list[set[int]] = []
        for (row, position), asked in zip(positions, rows, strict=True):
            assert (asked[: position + 1] == inputs[row, : position + 1]).all()
            if position < 500:
                assert (asked[position + 1 :] != inputs[row, position + 1 :]).any()
            assert targets[row, position] != corpus.bos
            shown.append(set(ids[row, : position + 1].tolist()))
        assert sum(map(len, shown)) == len(set().union(*shown))
        assert len(positions) > 60
        orders.add(tuple(positions[:, 0].tolist()))
    assert len(orders) == 5


def test_the_mean_counts_every_position_alike(place: Place) -> None:
    """Half of the positions are drawn where the candidate wins; the weights undo that."""
    prepare = place.prepare
    chance = np.random.default_rng(0)
    counted = np.ones((4000, 64), dtype=bool)
    documents = np.arange(counted.size + 1)
    text = SimpleNamespace(inputs=counted, counted=counted, documents=documents)
    losses = chance.gamma(1.0, 1.0, counted.shape).astype(np.float32)
    incumbent = losses + chance.gamma(0.1, 1.0, counted.shape).astype(np.float32)
    means, plain = [], []
    for _ in range(30):
        (rows, places), weights = (
            each.T for each in prepare.choose([text], {"dev": losses}, incumbent)
        )
        won = (incumbent - losses)[rows, places]
        means.append(np.average(won, weights=weights))
        plain.append(won.mean())
        assert weights.max() <= 2
    truth = (incumbent - losses).mean()
    assert np.mean(means) == pytest.approx(truth, rel=0.15)
    assert np.mean(plain) > 2 * truth


def test_a_noisy_baseline_widens_the_tolerance_up_to_a_cap(prepare: ModuleType) -> None:
    claimed, weights = np.full(80, 5.0), np.ones(80)
    noise = np.resize([0.08, -0.08], 80)
    with pytest.raises(prepare.Cheat, match="at 80 of 80"):
        prepare.compare(claimed, claimed + noise, weights, {})
    noisy = {"audit_largest_difference": 0.03, "audit_spread": 0.02}
    found = prepare.compare(claimed, claimed + noise, weights, noisy)
    assert found["audit_tolerance"] == pytest.approx(0.12)
    assert found["audit_interval"] == pytest.approx(1.96 * 0.08 / 80**0.5)
    absurd = {"audit_largest_difference": 50.0, "audit_spread": 50.0}
    with pytest.raises(prepare.Cheat, match=r"up to -0\.2 nats"):
        prepare.compare(claimed, claimed + np.resize([0.2, 0.0], 80), weights, absurd)
    with pytest.raises(prepare.Cheat, match="in the mean of 80"):
        prepare.compare(claimed, claimed + np.resize([0.1, 0.0], 80), weights, absurd)
    assert prepare.compare(claimed, claimed - np.resize([0.1, 0.0], 80), weights, absurd)
