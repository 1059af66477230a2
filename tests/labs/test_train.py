"""Protects the starting point of every study: the lab's train.py learns, and does what it says."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from .conftest import Lab, modules, prose, summary

KEYS = (
    "val_bpb training_seconds total_seconds peak_memory_mb mfu_percent total_tokens_M num_steps "
    "num_params_M depth"
)
CONFIG = {
    "vocab_size": 300, "seq_len": 64, "depth": 3, "width": 64, "head_dim": 32, "kv_group": 1,
    "mlp_ratio": 4, "windows": "SSL", "short_window": 16, "value_every": 2, "ngram_rows": 4096,
    "matches": 3, "softcap": 15.0, "rope_base": 10_000.0,
}  # fmt: skip
VARIANTS = {
    "default": {},
    "one layer": {"depth": 1},
    "shared keys": {"kv_group": 2},
    "all long": {"windows": "L"},
    "no n-grams": {"ngram_rows": 0},
    "no matches": {"matches": 0},
    "no fitting window": {"short_window": 48},
    "narrow window": {"short_window": 4, "windows": "S", "depth": 4},
    "wide MLP": {"mlp_ratio": 1, "value_every": 4},
}


def random_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(300, shape, generator=torch.Generator().manual_seed(seed))


def stirred(train: ModuleType, **changes: object) -> torch.nn.Module:
    """A model whose every weight matters: at the start many are zero."""
    torch.manual_seed(0)
    model = train.build(CONFIG | changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


# ------------------------------------------------------------------------------------------------
# By hand, in a bare folder
# ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of small products wait for each other, not for work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, str]:
    """A lab after `prepare.py` and two seconds of `train.py`, and what that printed."""
    lab = Lab(tmp_path_factory.mktemp("trained") / "lab")
    (lab.folder / "small.txt").write_text(prose(400_000))
    lab.prepare("small.txt")
    done = lab.run("train.py", SOURCE="small.txt", BUDGET=2)
    assert done.returncode == 0, done.stderr
    return lab, done.stdout


def test_training_by_hand_prints_its_summary(trained: tuple[Lab, str]) -> None:
    before, _, block = trained[1].partition("---\n")
    assert not before
    assert all(re.fullmatch(r"\w+: +[\d.]+", line) for line in block.splitlines()), block
    found = summary(block)
    assert set(KEYS.split()) <= set(found)
    assert 1 < float(found["training_seconds"]) < 6  # a loaded machine may delay the last step
    assert float(found["total_seconds"]) > float(found["training_seconds"])
    assert int(found["num_steps"]) >= 1
    assert 0 < float(found["val_bpb"]) < 8  # less than the bits that a byte has
    assert float(found["peak_memory_mb"]) > 50


def test_two_seconds_of_training_teach_it_something(trained: tuple[Lab, str]) -> None:
    assert float(summary(trained[1])["val_bpb"]) < 4


def test_scoring_again_gives_the_printed_score(trained: tuple[Lab, str]) -> None:
    lab, printed = trained
    done = lab.run("prepare.py", "score", SOURCE="small.txt")
    assert done.returncode == 0, done.stderr
    again, first = (float(summary(text)["val_bpb"]) for text in (done.stdout, printed))
    assert again == pytest.approx(first, abs=1e-4)


def test_nothing_but_the_lab_and_its_artifact_lies_in_the_folder(trained: tuple[Lab, str]) -> None:
    lab, _ = trained
    left = {path.name for path in (lab.folder / ".autoresearch" / "by-hand").iterdir()}
    assert left == {"model.safetensors", "config.json"}
    known = {"prepare.py", "train.py", "small.txt", "cache", ".autoresearch", "__pycache__"}
    assert {path.name for path in lab.folder.iterdir()} <= known


@pytest.mark.parametrize(("knob", "value"), [("SOFTCAP", 'float("nan")'), ("EMBEDDING_LR", "1e38")])
def test_a_loss_that_is_no_number_stops_with_a_sentence(
    trained: tuple[Lab, str], tmp_path: Path, knob: str, value: str
) -> None:
    lab = Lab(tmp_path / "lab")
    script = lab.folder / "train.py"
    text, count = re.subn(rf"(?m)^{knob} = \S+", f"{knob} = {value}", script.read_text())
    assert count == 1
    script.write_text(text)
    source, cache = trained[0].folder / "small.txt", trained[0].cache
    done = lab.run("train.py", SOURCE=source, CACHE=cache, BUDGET=10)  # it ends much sooner
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    diverged = r"training diverged: the loss is \w+ at step \d+\s*$"
    too_slow = r"not scored: the model's losses are not finite numbers\s*$"  # a single step
    assert re.search(f"{diverged}|{too_slow}", done.stderr)
    assert "val_bpb" not in done.stdout


def test_a_model_that_gives_no_numbers_is_not_scored(
    trained: tuple[Lab, str], tmp_path: Path
) -> None:
    lab = Lab(tmp_path / "lab")
    script = lab.folder / "train.py"
    logits = "cap * torch.tanh(logits / cap)"  # training computes its loss elsewhere
    assert logits in script.read_text()
    script.write_text(script.read_text().replace(logits, f'{logits} * float("nan")'))
    source, cache = trained[0].folder / "small.txt", trained[0].cache
    done = lab.run("train.py", SOURCE=source, CACHE=cache, BUDGET=1)
    assert done.returncode == 1
    assert done.stderr.endswith("not scored: the model's losses are not finite numbers\n")
    assert "Traceback" not in done.stderr
    assert "val_bpb" not in done.stdout


def test_importing_trains_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    before = set(lab.folder.iterdir())
    done = lab.run("-B", "-c", "import train; print(train.build)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<function build")
    assert not done.stderr
    assert set(lab.folder.iterdir()) == before


def test_the_same_seed_and_steps_give_the_same_losses(trained: tuple[Lab, str]) -> None:
    lab, _ = trained
    for loaded in modules(lab.folder, lab.cache, "prepare", "train"):
        prepare, train = loaded["prepare"], loaded["train"]
        corpus = prepare.load_corpus(
            prepare.cache_folder(lab.folder / "small.txt") / "manifest.json"
        )
        first, second = losses(prepare, train, corpus), losses(prepare, train, corpus)
        assert first == second
        assert first[-1] < first[0]
        prepare.SEED = 1
        assert losses(prepare, train, corpus) != first


def losses(prepare: ModuleType, train: ModuleType, corpus, steps: int = 8) -> list[float]:
    """The loss of each of the first steps, at a speed of one step in ten of the run."""
    torch.manual_seed(prepare.SEED)
    sizes = {"vocab_size": corpus.vocab_size, "seq_len": corpus.seq_len, "short_window": 128}
    model = train.build(CONFIG | sizes)
    chosen = train.optimizers(model)
    run = prepare.Run(corpus, corpus.tokens("train.bin"), 1.0, 0.0, Path(), None)
    batches, found = run.batches(2, corpus.seq_len), []
    for step in range(steps):
        loss = model.loss(*next(batches))
        loss.backward()
        train.schedule(chosen, step / 10, step)
        for optimizer in chosen:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        found.append(loss.item())
    return found


def test_an_epoch_shows_every_row_once(trained: tuple[Lab, str]) -> None:
    lab, _ = trained
    for loaded in modules(lab.folder, lab.cache, "prepare"):
        prepare = loaded["prepare"]
        corpus = prepare.load_corpus(
            prepare.cache_folder(lab.folder / "small.txt") / "manifest.json"
        )
        tokens = corpus.tokens("train.bin")
        batches = prepare.Run(corpus, tokens, 1.0, 0.0, Path(), None).batches(1, 512)
        count = (len(tokens) - 1) // 512 - 1
        rows = [next(batches) for _ in range(count)]
        assert all(x.shape == y.shape == (1, 512) for x, y in rows)
        assert all((x[0, 1:] == y[0, :-1]).all() for x, y in rows)
        assert len({tuple(x[0].tolist()) for x, _ in rows}) == count


# ------------------------------------------------------------------------------------------------
# The model
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_maps_ids_to_logits(train: ModuleType, name: str) -> None:
    model = stirred(train, **VARIANTS[name])
    for time in (64, 40, 1):
        logits = model(random_ids(2, time))
        assert logits.shape == (2, time, 300)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert logits.abs().max() <= CONFIG["softcap"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_sees_nothing_of_the_future(train: ModuleType, name: str) -> None:
    model = stirred(train, **VARIANTS[name])
    ids = random_ids(1, 64)
    with torch.no_grad():
        whole = model(ids)
        for cut in (1, 15, 16, 17, 33, 63):
            changed = ids.clone()
            changed[:, cut:] = random_ids(1, 64 - cut, seed=cut)
            logits = model(changed)
            torch.testing.assert_close(logits[:, :cut], whole[:, :cut], atol=1e-4, rtol=0)
            assert not torch.allclose(logits[:, cut:], whole[:, cut:], atol=1e-2)


def test_rows_of_a_batch_do_not_see_each_other(train: ModuleType) -> None:
    model = stirred(train)
    ids = random_ids(3, 64)
    with torch.no_grad():
        together, alone = model(ids)[1:2], model(ids[1:2])
    torch.testing.assert_close(together, alone, atol=0.05, rtol=0)


def test_a_fresh_model_knows_nothing(train: ModuleType) -> None:
    """Its loss is that of even odds; anything else would be a leak or a bad initialisation."""
    torch.manual_seed(0)
    loss = train.build(CONFIG).loss(random_ids(4, 64), random_ids(4, 64, seed=1))
    assert loss.item() == pytest.approx(math.log(300), abs=0.02)


def test_the_same_weights_come_back_from_the_artifact(
    train: ModuleType, prepare: ModuleType, tmp_path: Path
) -> None:
    model = stirred(train)
    prepare.write_artifact(model, CONFIG, tmp_path)
    (tmp_path / "train.py").write_bytes(Path(train.__file__ or "").read_bytes())
    loaded, device = prepare.load_model(tmp_path, tmp_path)
    ids = random_ids(2, 64)
    with torch.no_grad():
        assert torch.equal(loaded.cpu()(ids), model.eval()(ids))
    assert device.type == prepare.find_device()


@pytest.mark.parametrize("window", [4, 16, 32])
def test_windowed_attention_is_masked_full_attention(train: ModuleType, window: int) -> None:
    q, k, v = torch.randn(3, 2, 2, 64, 8, generator=torch.Generator().manual_seed(1))
    found = train.attend(q, k, v, window, train.window_mask(64, window, "cpu", torch.float32))
    back = torch.arange(64)[:, None] - torch.arange(64)[None, :]
    seen = (back >= 0) & (back < window)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, attn_mask=seen))


def test_a_long_window_is_causal_attention(train: ModuleType) -> None:
    q, k, v = torch.randn(3, 2, 2, 64, 8, generator=torch.Generator().manual_seed(1))
    found = train.attend(q, k, v, 64, train.window_mask(64, 64, "cpu", torch.float32))
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, is_causal=True))


def test_rotary_scores_depend_on_distance_alone(train: ModuleType) -> None:
    cos, sin, _ = train.build(CONFIG).positions(64, torch.device("cpu"), torch.float32)
    q, k = torch.randn(2, 32, generator=torch.Generator().manual_seed(2))
    turned_q, turned_k = train.rotate(q.expand(64, 32), cos, sin), train.rotate(k, cos, sin)
    scores = turned_q @ turned_k.T
    torch.testing.assert_close(scores[1:, 1:], scores[:-1, :-1], atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------------
# The loss and the optimizer
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 511, 1300])
def test_the_capped_loss_is_cross_entropy_with_its_gradients(
    train: ModuleType, tokens: int
) -> None:
    chance = torch.Generator().manual_seed(3)
    features = torch.randn(tokens, 48, generator=chance, requires_grad=True)
    weight = torch.randn(300, 48, generator=chance, requires_grad=True)
    targets = torch.randint(300, (tokens,), generator=chance)
    plain = F.cross_entropy(15 * torch.tanh(features @ weight.T / 15), targets)
    wanted = torch.autograd.grad(3 * plain, (features, weight))
    found = train.CappedLoss.apply(features, weight, targets, 15.0)
    torch.testing.assert_close(found, plain)
    for mine, its in zip(torch.autograd.grad(3 * found, (features, weight)), wanted, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-6, rtol=1e-3)


def test_the_loss_of_a_model_is_that_of_its_logits(train: ModuleType) -> None:
    ids, targets = random_ids(4, 64), random_ids(4, 64, seed=1)
    gradients = []
    model = stirred(train, ngram_rows=0)
    for loss in (
        model.loss(ids, targets),
        F.cross_entropy(model(ids).flatten(0, 1), targets.flatten()),
    ):
        gradients.append((loss.item(), torch.autograd.grad(loss, list(model.parameters()))))
    (first, mine), (second, plain) = gradients
    assert first == pytest.approx(second, abs=2e-3)
    for a, b in zip(mine, plain, strict=True):  # in bf16, where the CPU has it
        assert (a - b).norm() <= 0.05 * b.norm() + 1e-6


def test_matches_say_where_the_last_tokens_stood_before(train: ModuleType) -> None:
    ids = torch.tensor([[5, 6, 7, 5, 6, 9]])
    found = train.matches(ids, 3)[0]
    assert found.shape == (3, 6, 6)
    where = [found[n, 4].nonzero().flatten().tolist() for n in range(3)]
    assert where == [[2, 5], [2, 5], [5]]  # behind "6" and "5 6"; 5 is its own, and not seen yet
    assert not found[:, :, 0].any()  # before the first token stands none


@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 64, 16), (3, 16, 64)])
def test_orthogonal_has_singular_values_near_one(
    train: ModuleType, shape: tuple[int, int, int]
) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    found = train.orthogonal(matrices)
    assert found.shape == matrices.shape
    values = torch.linalg.svdvals(found.float())
    assert 0.5 < values.median() < 1.5
    assert values.max() < 1.5  # the quintic's own limits are about 0.7 and 1.2
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    cosine = F.cosine_similarity(found.flatten(), (u @ vh).flatten(), dim=0)
    assert cosine > 0.9


def test_every_parameter_has_exactly_one_optimizer(train: ModuleType) -> None:
    for changes in VARIANTS.values():
        model = train.build(CONFIG | changes)
        taken = [
            p for o in train.optimizers(model) for group in o.param_groups for p in group["params"]
        ]
        assert sorted(map(id, taken)) == sorted(map(id, model.parameters()))


def test_the_schedule_rises_holds_and_falls(train: ModuleType) -> None:
    chosen = train.optimizers(train.build(CONFIG))
    group = chosen[0].param_groups[0]
    rates = []
    for progress in (0.0, train.WARMUP_RATIO / 2, 0.2, 1 - train.WARMDOWN_RATIO, 0.8, 1.0):
        train.schedule(chosen, progress, 10_000)
        rates.append(group["lr"] / group["peak_lr"])
    assert rates[:4] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert 1 > rates[4] > rates[5] == pytest.approx(train.FINAL_LR_RATIO)
    assert group["momentum"] == pytest.approx(train.MOMENTUM)


def test_warming_up_leaves_no_trace(train: ModuleType) -> None:
    torch.manual_seed(0)
    model = train.build(CONFIG)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen = train.optimizers(model)

    def accumulate(batches: Iterator) -> None:
        model.loss(*next(batches)).backward()

    def update(step: int, progress: float) -> None:
        train.schedule(chosen, 0.5, step)
        for optimizer in chosen:
            optimizer.step()

    corpus = SimpleNamespace(vocab_size=300, seq_len=64)
    train.warm_up(model, chosen, accumulate, update, corpus, 2, "cpu")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(optimizer.state for optimizer in chosen)


# ------------------------------------------------------------------------------------------------
# Devices: only what the device says of itself is made up
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_sizes_of_a_device_make_a_model(train: ModuleType, device: str) -> None:
    check_sizes(train, train.sizes(device))


def test_sizes_follow_the_time_of_a_run(train: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", 20.0)
    assert train.sizes("cpu")["DEPTH"] == 1
    monkeypatch.setattr(train, "SIZED_FOR", 300)
    assert train.sizes("cpu")["DEPTH"] == 2


@pytest.mark.parametrize("gigabytes", [4, 8, 16, 24, 80, 141, 192])
def test_sizes_follow_the_memory_of_a_gpu(
    train: ModuleType, gigabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = SimpleNamespace(total_memory=gigabytes * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    size = train.sizes("cuda")
    check_sizes(train, size)
    assert size["MICRO_ROWS"] <= max(4, gigabytes / 0.55)


def check_sizes(train: ModuleType, size: dict[str, int]) -> None:
    assert None not in size.values()
    unset = {name for name, value in train.constants().items() if value is None}
    assert unset - {"SIZED_FOR"} <= set(size)
    assert size["WIDTH"] % size["HEAD_DIM"] == 0
    assert size["BATCH_TOKENS"] % size["MICRO_ROWS"] == 0
    assert size["NGRAM_ROWS"] & (size["NGRAM_ROWS"] - 1) == 0


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H200", 989.5),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 125),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("AMD Instinct MI300X", 1307),
        ("Some other card", math.inf),  # then mfu_percent is 0, not a wrong number
    ],
)
def test_a_gpu_is_known_by_its_name(
    train: ModuleType, name: str, tera: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    assert train.peak_flops("cuda") == pytest.approx(tera * 1e12)


def test_this_machines_speed_and_memory_are_measured(train: ModuleType) -> None:
    assert 1e9 < train.peak_flops("cpu") < 1e15
    assert 50 < train.peak_memory_mb("cpu") < 1e6
    assert train.precision("cpu") in (torch.float32, torch.bfloat16)
    assert train.precision("mps") is torch.float32
