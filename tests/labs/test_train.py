"""Protects the starting point of every study: the lab's train.py learns, and does what it says."""

import math
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from .conftest import FILES, Lab, modules, prose, summary

KEYS = (
    "val_bpb training_seconds total_seconds peak_memory_mb mfu_percent total_tokens_M num_steps "
    "num_params_M depth"
)
CONFIG = {
    "vocab_size": 300, "depth": 3, "width": 64, "head_dim": 32, "kv_group": 1, "mlp_ratio": 4,
    "windows": "SSL", "short_window": 16, "value_every": 2, "ngram_rows": 4096, "matches": 3,
    "match_bonus": 2.7, "softcap": 15.0, "rope_base": 10_000.0,
}  # fmt: skip
SIZE = {
    "MATRIX_LR": 0.1,
    "MATRIX_DECAY": 0.1,
    "EMBEDDING_LR": 0.3,
    "NEWTON_STEPS": 5,
    "SEQ_LEN": 64,
    "BATCH_TOKENS": 512,
    "MICRO_ROWS": 8,
}
VARIANTS = {
    "default": {},
    "one layer": {"depth": 1},
    "shared keys": {"kv_group": 2},
    "all long": {"windows": "L"},
    "no n-grams": {"ngram_rows": 0},
    "no matches": {"matches": 0},
    "no soft cap": {"softcap": 0},
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
    diverged = r"\ntraining diverged: the loss is \w+ at step \d+\s*$"
    too_slow = r"not scored: the model's losses are not finite numbers\s*$"  # a single step
    assert re.search(f"{diverged}|{too_slow}", done.stderr)
    assert "val_bpb" not in done.stdout


def test_a_model_that_gives_no_numbers_is_not_scored(
    trained: tuple[Lab, str], tmp_path: Path
) -> None:
    lab = Lab(tmp_path / "lab")
    script = lab.folder / "train.py"
    logits = "self.head.weight.to(features.dtype)).float()"  # training computes its loss elsewhere
    assert logits in script.read_text()
    script.write_text(script.read_text().replace(logits, f'{logits} * float("nan")'))
    source, cache = trained[0].folder / "small.txt", trained[0].cache
    done = lab.run("train.py", SOURCE=source, CACHE=cache, BUDGET=1)
    assert done.returncode == 1
    assert done.stderr.endswith("not scored: the model's losses are not finite numbers\n")
    assert "Traceback" not in done.stderr
    assert "val_bpb" not in done.stdout


def test_interrupted_by_hand_it_says_so_below_a_line_of_progress(trained: tuple[Lab, str]) -> None:
    lab, _ = trained
    with lab.start("train.py", SOURCE="small.txt", BUDGET=20) as process:
        assert process.stderr
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
    assert re.fullmatch(r"step +\d+ \| loss [\d.]+ \| .* s left\n", line)
    assert rest.splitlines()[-1] == "stopped"
    assert "Traceback" not in rest
    assert "\r" not in line + rest
    assert process.returncode == -signal.SIGINT  # 130 in a shell


def test_a_budget_too_short_for_a_step_says_so(trained: tuple[Lab, str]) -> None:
    lab, _ = trained
    done = lab.run("train.py", SOURCE="small.txt", BUDGET=0.01)
    assert done.returncode == 1
    assert done.stderr.strip() == "the budget is too short for a single step"
    assert "val_bpb" not in done.stdout


def test_figures_follow_from_the_model_and_its_tokens(trained: tuple[Lab, str]) -> None:
    found = {name: float(value) for name, value in summary(trained[1].partition("---")[2]).items()}
    assert found["total_tokens_M"] == pytest.approx(found["tokens"] / 1e6, abs=0.06)
    assert found["num_params_M"] == pytest.approx(found["num_params"] / 1e6, abs=0.06)
    assert found["tokens"] == 2048 * found["num_steps"]
    assert 0 < found["mfu_percent"] < 100


def test_importing_trains_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    before = set(lab.folder.iterdir())
    done = lab.run("-B", "-c", "import train; print(train.build)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<function build")
    assert not done.stderr
    assert set(lab.folder.iterdir()) == before


def test_a_run_on_a_cpu_does_not_import_the_compiler(trained: tuple[Lab, str]) -> None:
    """It would cost every experiment a second and a half."""
    lab, _ = trained
    code = "import sys, train; train.main(); sys.exit('torch._dynamo' in sys.modules)"
    done = lab.run("-c", code, SOURCE="small.txt", BUDGET=1)
    assert done.returncode == 0, done.stderr


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
    model = train.build(CONFIG | {"vocab_size": corpus.vocab_size, "short_window": 128})
    chosen = train.optimizers(model, SIZE)
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


class Copies(TorchFunctionMode):
    """What the copies to a device were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, object]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.to:
            self.seen.append(kwargs)
        return func(*args, **(kwargs or {}))


def test_a_batch_is_copied_before_its_memory_is_freed(prepare: ModuleType) -> None:
    """Only from pinned memory, which CUDA keeps until then, may a copy go on by itself."""
    tokens = np.arange(2000, dtype=np.uint16)
    batches = prepare.Run(None, tokens, 1.0, 0.0, Path(), None).batches(2, 64, "meta")
    with Copies() as copies:
        next(batches)
    assert copies.seen == [{"non_blocking": False}]


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
        cap = (CONFIG | VARIANTS[name])["softcap"]
        assert not cap or logits.abs().max() <= cap


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
    back = torch.arange(64)[:, None] - torch.arange(64)[None, :]
    seen = (back >= 0) & (back < window)
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    torch.testing.assert_close(train.attend(q, k, v, window), wanted)


def test_a_long_window_is_causal_attention(train: ModuleType) -> None:
    q, k, v = torch.randn(3, 2, 2, 64, 8, generator=torch.Generator().manual_seed(1))
    wanted = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(train.attend(q, k, v, 64), wanted)


def test_a_bonus_is_for_the_scores_of_the_first_head(train: ModuleType) -> None:
    q, k, v, bonus = torch.randn(4, 2, 2, 64, 8, generator=torch.Generator().manual_seed(1))
    bonus = bonus @ bonus.mT
    mask = torch.zeros(2, 2, 64, 64)
    mask[:, 0] = bonus[:, 0]
    mask += torch.full((64, 64), -torch.inf).triu(1)
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(train.attend(q, k, v, 64, bonus[:, 0]), wanted)


def test_rotary_scores_depend_on_distance_alone(train: ModuleType) -> None:
    q, k = torch.randn(2, 32, generator=torch.Generator().manual_seed(2))
    turn = train.turns(64, 32, 10_000, "cpu")
    turned_q, turned_k = train.rotate(q.expand(64, 32), turn), train.rotate(k.expand(64, 32), turn)
    scores = turned_q @ turned_k.T
    torch.testing.assert_close(scores[1:, 1:], scores[:-1, :-1], atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------------
# The loss and the optimizer
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [15.0, 0])
@pytest.mark.parametrize("tokens", [1, 511, 1300])
def test_the_chunked_loss_is_cross_entropy_with_its_gradients(
    train: ModuleType, tokens: int, cap: float
) -> None:
    chance = torch.Generator().manual_seed(3)
    features = torch.randn(tokens, 48, generator=chance, requires_grad=True)
    weight = torch.randn(300, 48, generator=chance, requires_grad=True)
    targets = torch.randint(300, (tokens,), generator=chance)
    logits = features @ weight.T
    plain = F.cross_entropy(cap * torch.tanh(logits / cap) if cap else logits, targets)
    wanted = torch.autograd.grad(3 * plain, (features, weight))
    found = train.ChunkedLoss.apply(features, weight, targets, cap)
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


def test_matches_count_the_last_tokens_that_stood_before(train: ModuleType) -> None:
    found = train.matches(torch.tensor([[5, 6, 7, 5, 6, 9]]), 3)
    assert found.shape == (1, 6, 6)
    assert found[0, 4].tolist() == [0, 0, 2, 0, 0, 3]  # behind "5 6"; 5 is its own, not seen yet
    assert train.matches(torch.tensor([[1, 2, 3, 4, 1, 2, 3]]), 4)[0, 6, 3].item() == 3
    assert not found[:, :, 0].any()  # before the first token stands none


def test_a_fresh_model_looks_where_a_run_of_tokens_stood_before(train: ModuleType) -> None:
    """It copies what came after a run of tokens when they come again: untrained, but for a head
    that reads what the values of the first 32 channels say, and nothing else."""
    torch.manual_seed(0)
    model = train.build(CONFIG | {"depth": 1, "ngram_rows": 0})
    with torch.no_grad():
        model.blocks[0].resid_scale.zero_()
        model.blocks[0].first_scale.zero_()
        model.head.weight.zero_()[:, :32] = model.blocks[0].value.weight[:, :32]
    ids = random_ids(1, 30)
    again = torch.cat([ids, ids[:, :20]], dim=1)
    said = model(again).argmax(-1)[0]
    assert (said[34:49] == again[0, 35:50]).float().mean() > 0.9


@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 64, 16), (3, 48, 32)])
def test_orthogonal_has_singular_values_near_one(
    train: ModuleType, shape: tuple[int, int, int]
) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    found = train.orthogonal(matrices, 5)
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
            p
            for optimizer in train.optimizers(model, SIZE)
            for group in optimizer.param_groups
            for p in group["params"]
        ]
        assert sorted(map(id, taken)) == sorted(map(id, model.parameters()))


def test_the_schedule_rises_holds_and_falls(train: ModuleType) -> None:
    chosen = train.optimizers(train.build(CONFIG), SIZE)
    group = chosen[0].param_groups[0]
    rates = []
    for progress in (0.0, train.WARMUP_RATIO / 2, 0.2, 1 - train.WARMDOWN_RATIO, 0.8, 1.0):
        train.schedule(chosen, progress, 10_000)
        rates.append(group["lr"] / group["peak_lr"])
    assert rates[:4] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert 1 > rates[4] > rates[5] == pytest.approx(train.FINAL_LR_RATIO)
    assert group["momentum"] == pytest.approx(train.MOMENTUM)


def test_a_matrix_and_its_transpose_are_updated_alike(train: ModuleType) -> None:
    tall = torch.nn.Parameter(torch.zeros(32, 8))
    wide = torch.nn.Parameter(torch.zeros(8, 32))
    muon = train.Muon([tall, wide], SIZE)
    tall.grad = torch.randn(32, 8, generator=torch.Generator().manual_seed(5))
    wide.grad = tall.grad.mT.clone()
    muon.step()
    assert tall.abs().max() > 0
    torch.testing.assert_close(tall, 2 * wide.mT)  # sqrt(32 / 8) is the tall one's rate


def test_every_row_of_an_update_is_as_long(train: ModuleType) -> None:
    matrix = torch.nn.Parameter(torch.zeros(32, 8))
    matrix.grad = torch.randn(32, 8, generator=torch.Generator().manual_seed(6))
    matrix.grad[:4] *= 0.01  # orthogonalised, these rows are still the short ones
    train.Muon([matrix], SIZE).step()
    lengths = matrix.detach().norm(dim=1)
    torch.testing.assert_close(lengths, lengths.mean().expand(32), atol=0.0, rtol=1e-3)
    whole = SIZE["MATRIX_LR"] * 2 * math.sqrt(8)  # as long as an orthogonal matrix of its shape
    assert 0.6 * whole < matrix.detach().norm() < 1.3 * whole


def test_a_weight_decays_where_its_update_shrinks_it(train: ModuleType) -> None:
    def after(decay: float) -> torch.Tensor:
        matrix = torch.nn.Parameter(torch.ones(32, 8))
        matrix.grad = torch.randn(32, 8, generator=torch.Generator().manual_seed(7))
        muon = train.Muon([matrix], SIZE)
        muon.param_groups[0]["decay"] = decay
        muon.step()
        return matrix.detach()

    plain, decayed = after(0.0), after(0.5)
    torch.testing.assert_close(
        plain - decayed, torch.where(plain < 1, 0.5 * SIZE["MATRIX_LR"], 0.0)
    )


def test_adamw_is_the_librarys(train: ModuleType) -> None:
    chance = torch.Generator().manual_seed(8)
    ours, its = (torch.nn.Parameter(torch.ones(5, 3)) for _ in range(2))
    adam = train.AdamW([{"params": [ours], "peak_lr": 0.1, "decay": 0.2}])
    library = torch.optim.AdamW(
        [its], lr=0.1, betas=(train.BETA1, train.BETA2), eps=1e-10, weight_decay=0.2
    )
    for _ in range(5):
        ours.grad = torch.randn(5, 3, generator=chance)
        its.grad = ours.grad.clone()
        adam.step()
        library.step()
    torch.testing.assert_close(ours, its)


def test_a_parameter_without_gradient_stays(train: ModuleType) -> None:
    used, unused = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    used.grad = torch.ones(3)
    train.AdamW([{"params": [used, unused], "peak_lr": 0.1}]).step()
    assert (used < 1).all()
    assert (unused == 1).all()


def test_the_lazy_adam_moves_the_rows_that_were_used(train: ModuleType) -> None:
    bag = torch.nn.EmbeddingBag(6, 4, mode="sum", sparse=True)
    torch.nn.init.zeros_(bag.weight)
    adam = train.LazyAdam([{"params": [bag.weight], "peak_lr": 0.1}])
    for step in (1, 2):
        adam.param_groups[0]["step"] = step
        bag.zero_grad()
        pulled = bag(torch.tensor([[1, 1, 3]]))
        (pulled * torch.tensor([1.0, 2.0, -1.0, 2.0])).sum().backward()
        adam.step()
    used = bag.weight.detach().abs().sum(1) > 0
    assert used.tolist() == [False, True, False, True, False, False]
    direction = torch.tensor([1.0, 2.0, -1.0, 2.0]) / math.sqrt(2.5)  # of unit mean square
    for row in (1, 3):  # whether a row is used once or twice, its step has the same length
        torch.testing.assert_close(bag.weight[row].detach(), -0.2 * direction, atol=1e-4, rtol=1e-3)


def test_warming_up_leaves_no_trace(train: ModuleType) -> None:
    torch.manual_seed(0)
    model = train.build(CONFIG)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen = train.optimizers(model, SIZE)
    corpus, shapes = SimpleNamespace(vocab_size=300), []

    def step(batches: Iterator, *_: object) -> None:
        x, y = next(batches)
        shapes.append(x.shape)
        model.loss(x, y).backward()
        train.schedule(chosen, 0.5, 1)
        for optimizer in chosen:
            optimizer.step()

    assert train.warm_up(model, chosen, step, corpus, SIZE, "cpu") == 8
    assert shapes == [(8, 64)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(optimizer.state for optimizer in chosen)


def test_a_gpu_warms_up_with_all_that_training_holds_in_memory(train: ModuleType) -> None:
    """The second part finds gradients there, the second step the optimizers' state. `meta` stands
    for a device that is no CPU: its tensors have no values."""
    with torch.device("meta"):
        model = train.build(CONFIG)
    steps = []

    def step(batches: Iterator, micro_steps: int, *_: object) -> None:
        steps.append([x.shape for x, _ in batches])
        assert len(steps[-1]) == micro_steps

    corpus = SimpleNamespace(vocab_size=300)
    assert train.warm_up(model, [], step, corpus, SIZE, "meta") == 8
    assert steps == [[(8, 64)] * 2] * 2


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_out_of_memory_halves_the_rows_and_says_so(
    train: ModuleType, capsys: pytest.CaptureFixture[str], error: RuntimeError
) -> None:
    """A device whose memory holds two rows, as far as the training step can tell."""
    model = train.build(CONFIG)
    chosen, tried = train.optimizers(model, SIZE), []

    def step(batches: Iterator, *_: object) -> None:
        x, y = next(batches)
        tried.append(len(x))
        model.loss(x, y).backward()
        if len(x) > 2:
            raise error

    corpus = SimpleNamespace(vocab_size=300)
    assert train.warm_up(model, chosen, step, corpus, SIZE, "cpu") == 2
    assert tried == [8, 4, 2]
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "out of memory"
    ] * 2
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_does_not_fit_at_all_ends_the_run(train: ModuleType) -> None:
    model = train.build(CONFIG)

    def step(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        train.warm_up(model, [], step, SimpleNamespace(vocab_size=300), SIZE, "cpu")

    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        train.warm_up(model, [], broken, SimpleNamespace(vocab_size=300), SIZE, "cpu")


# ------------------------------------------------------------------------------------------------
# Devices: only what the device says of itself is made up
# ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [4, 16, 64])
def test_a_gpus_attention_is_that_of_a_cpu(
    train: ModuleType, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.prepare, "fast_dtype", lambda _: torch.bfloat16)
    q, k, v = torch.randn(3, 2, 2, 64, 8, generator=torch.Generator().manual_seed(1))
    sight = train.in_sight(64, window, "cpu")
    assert sight is not None
    found = train.attend(q, k, v, window, None, sight)
    torch.testing.assert_close(found, train.attend(q, k, v, window))


def test_without_bf16_attention_is_not_fused(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fp32, as on a T4, the fused kernel is slow or does not fit."""
    monkeypatch.setattr(train.prepare, "fast_dtype", lambda _: torch.float32)
    assert train.in_sight(64, 16, "cpu") is None


@pytest.mark.filterwarnings("ignore")  # of the compiler's own parts
def test_blocks_are_compiled_once_whatever_their_window(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without value embeddings makes two; each further one costs every start seconds."""
    counted, model = [], train.build(CONFIG | {"depth": 6, "windows": "SSSSL", "matches": 0})
    monkeypatch.setattr(train.prepare, "fast_dtype", lambda _: torch.bfloat16)

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable:
        counted.append(graph)
        return graph.forward

    ids = random_ids(1, 64)
    with torch.no_grad():
        plain = model.features(ids)
        model.sights = {look: train.in_sight(64, look, "cpu") for look in set(model.windows(64))}
        assert len(model.sights) == 2
        compiled = torch.compile(train.Block.forward, dynamic=False, backend=backend)
        monkeypatch.setattr(train.Block, "forward", compiled)
        torch.testing.assert_close(model.features(ids), plain, atol=0.1, rtol=0.1)
    assert len(counted) == 2


GPUS = {  # name: dense bf16 TFLOP/s of its data sheet, GB
    "NVIDIA H200": (989.5, 141),
    "NVIDIA H100 80GB HBM3": (989.5, 80),
    "NVIDIA H100 PCIe": (756.5, 80),
    "NVIDIA A100-SXM4-80GB": (312, 80),
    "NVIDIA A10G": (70, 24),
    "NVIDIA L4": (121, 24),
    "NVIDIA H20": (148, 96),  # it is an H100 that may do less
    "NVIDIA L40": (181, 48),  # as many as an L40S has, at half the rate
    "NVIDIA L40S": (362, 48),
    "NVIDIA GeForce RTX 4090": (165.2, 24),
    "NVIDIA GeForce RTX 3090": (71, 24),
    "Tesla T4": (8.1, 16),  # it has no bf16: what its fp32 does
    "AMD Instinct MI300X": (1307, 192),
}


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    gigabytes: float,
    version: tuple[int, int] = (9, 9),
    **more: int,
) -> None:
    facts = SimpleNamespace(name=name, total_memory=gigabytes * 2**30, **more)
    facts.major, facts.minor = version
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_is_known_by_its_name(
    train: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tera, gigabytes = GPUS[name]
    pretend(monkeypatch, name, gigabytes)
    assert train.prepare.speed.__wrapped__("cuda") == pytest.approx(tera * 1e12)
    assert train.prepare.memory_gb("cuda") == gigabytes
    monkeypatch.setattr(train.prepare, "speed", train.prepare.speed.__wrapped__)
    monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", 300.0)
    size = train.sizes("cuda", 2048)
    check_sizes(train, size)
    assert 4 <= size["DEPTH"] <= 9
    assert size["SEQ_LEN"] == 2048


CARDS = {  # of the data sheets: compute capability, multiprocessors, MHz, dense TFLOP/s
    "NVIDIA A100-SXM4-80GB": ((8, 0), 108, 1410, 312),
    "NVIDIA A10": ((8, 6), 72, 1695, 125),
    "NVIDIA B200": ((10, 0), 148, 1850, 2250),
    "NVIDIA GeForce RTX 3090": ((8, 6), 82, 1695, 71),
    "NVIDIA GeForce RTX 4090": ((8, 9), 128, 2520, 165.2),
    "NVIDIA GeForce RTX 5090": ((12, 0), 170, 2407, 209.5),
    "NVIDIA H100 80GB HBM3": ((9, 0), 132, 1830, 989.5),
    "NVIDIA L4": ((8, 9), 58, 2040, 121),
    "NVIDIA L40S": ((8, 9), 142, 2520, 362),
    "NVIDIA RTX 6000 Ada Generation": ((8, 9), 142, 2505, 364),
    "NVIDIA GeForce GTX 1080 Ti": ((6, 1), 28, 1582, 11.3),
    "Tesla T4": ((7, 5), 40, 1590, 8.1),
    "Tesla V100-SXM2-16GB": ((7, 0), 80, 1530, 15.7),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_cards_cores_and_clock_tell_its_speed(
    prepare: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, cores, mhz, tera = CARDS[name]
    pretend(monkeypatch, name, 24, version, multi_processor_count=cores, clock_rate=mhz * 1000)
    assert prepare.computed_speed("cuda") == pytest.approx(tera * 1e12, rel=0.02)


@pytest.mark.parametrize(
    ("name", "version", "cores", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", (8, 0), 14, 28.7),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", (8, 9), 76, 38.9),
        ("NVIDIA T4 with Max-Q Design", (7, 5), 40, 5.1),  # made up, others are not
    ],
)
def test_part_of_a_card_is_not_taken_for_the_whole(
    prepare: ModuleType,
    name: str,
    version: tuple[int, int],
    cores: int,
    tera: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, name, 10, version, multi_processor_count=cores, clock_rate=1_000_000)
    assert prepare.speed.__wrapped__("cuda") == pytest.approx(tera * 1e12, rel=0.01)


def test_a_macs_cores_tell_its_speed(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "get_core_count", lambda: 10)
    assert prepare.speed.__wrapped__("mps") == 3.5e12


def test_larger_devices_get_larger_models(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.prepare, "memory_gb", lambda _: 80.0)
    monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", 300.0)
    found = []
    for tera in (0.1, 0.4, 3, 20, 70, 165, 312, 989.5, 2250):
        monkeypatch.setattr(train.prepare, "speed", lambda _, tera=tera: tera * 1e12)
        found.append(train.sizes("cuda", 2048))
        check_sizes(train, found[-1])
    for name in ("DEPTH", "WIDTH", "BATCH_TOKENS", "SEQ_LEN"):
        values = [size[name] for size in found]
        assert values == sorted(values)
    large = found[-2]  # what the original's 125 experiments ended with, on this device
    assert (large["DEPTH"], large["WIDTH"], large["BATCH_TOKENS"]) == (9, 640, 2**18)


@pytest.mark.parametrize("gigabytes", [4, 8, 16, 24, 80, 192])
def test_rows_at_once_follow_the_memory_of_a_gpu(
    train: ModuleType, gigabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "NVIDIA H100", gigabytes)
    monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", 300.0)
    size = train.sizes("cuda", 2048)
    check_sizes(train, size)
    assert 1 <= size["MICRO_ROWS"] <= gigabytes / 0.55  # GB that the original's rows take


def test_sizes_of_a_cpu_follow_its_cores_and_the_time(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.prepare, "speed", lambda _: 4.4e11)  # two cores with bf16
    models = []
    for seconds in (20.0, 60.0, 300.0, 28_800.0):
        monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", seconds)
        size = train.sizes("cpu", 512)
        check_sizes(train, size)
        models.append((size["DEPTH"], size["WIDTH"]))
        assert size["SEQ_LEN"] == 256 or seconds > 300
    assert models == [(1, 128), (1, 128), (2, 192), (5, 384)]
    monkeypatch.setattr(train, "SIZED_FOR", 300)
    assert train.sizes("cpu", 512)["DEPTH"] == 2


def test_a_mac_gets_no_sparse_tables(train: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse gradients do not exist there, however short the run."""
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * 2**30)
    monkeypatch.setattr(train.prepare, "speed", lambda _: 4e12)  # of an M-series chip, about
    assert train.prepare.memory_gb("mps") == 12
    for seconds in (20.0, 300.0):
        monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", seconds)
        size = train.sizes("mps", 512)
        check_sizes(train, size)
        assert size["NGRAM_ROWS"] == 0


@pytest.mark.parametrize("gigabytes", [5, 12, 48, 190])
@pytest.mark.parametrize("row", [512, 2048, 32768])
def test_a_macs_products_stay_below_what_it_sums_wrongly(
    train: ModuleType, gigabytes: int, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A weight's gradient is a sum over the tokens that go through the model at once."""
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: gigabytes * 2**30)
    monkeypatch.setattr(train.prepare, "BUDGET_SECONDS", 300.0)
    monkeypatch.setattr(torch.backends.mps, "get_core_count", lambda: 40)
    monkeypatch.setattr(train.prepare, "speed", train.prepare.speed.__wrapped__)
    size = train.sizes("mps", row)
    assert size["SEQ_LEN"] == row
    assert size["MICRO_ROWS"] >= 1
    assert size["MICRO_ROWS"] * row <= max(16384, row)


def test_a_constant_that_is_set_stays(train: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "SOFTCAP", 0)
    monkeypatch.setattr(train, "NGRAM_ROWS", 0)
    monkeypatch.setattr(train, "MICRO_ROWS", 2)
    size = train.sizes("cpu", 512)
    assert (size["SOFTCAP"], size["NGRAM_ROWS"], size["MICRO_ROWS"]) == (0, 0, 2)


def check_sizes(train: ModuleType, size: dict[str, int]) -> None:
    assert None not in size.values()
    unset = {name for name, v in train.prepare.constants(vars(train)).items() if v is None}
    assert unset - {"SIZED_FOR"} <= set(size)
    assert size["WIDTH"] % size["HEAD_DIM"] == 0
    for name in ("BATCH_TOKENS", "SEQ_LEN", "MICRO_ROWS"):
        assert size[name] & (size[name] - 1) == 0
    assert size["NGRAM_ROWS"] & (size["NGRAM_ROWS"] - 1) == 0
    assert train.build(
        {name.lower(): {**vars(train), **size}[name] for name in train.SHAPE} | {"vocab_size": 300}
        if size["WIDTH"] <= 128
        else CONFIG
    )


def test_this_machines_speed_and_memory_are_measured(prepare: ModuleType) -> None:
    assert 1e9 < prepare.timed_speed("cpu", size=512) < 1e15
    assert 1e10 < prepare.speed("cpu") < 1e15
    assert 50 < prepare.peak_memory_mb("cpu") < 1e6
    assert 0.5 < prepare.memory_gb("cpu") < 1e5
    assert prepare.fast_dtype("cpu") in (torch.float32, torch.bfloat16)
    assert prepare.fast_dtype("mps") is torch.float32


def test_a_device_that_is_a_step_ahead_stops_a_step_earlier(prepare: ModuleType) -> None:
    run = prepare.Run(SimpleNamespace(), None, 60.0, 0.0, Path(), None)
    run._steps, run._last = [25.0] * 8, run._start  # as if steps took so long
    assert not run.over()
    run._steps = [25.0] * 8
    run._pending = [("a loss", "an event that has not come")]
    assert not run.over()
    run._steps = [35.0] * 8
    assert run.over()
    run._pending = []
    assert not run.over()


@pytest.mark.parametrize(
    ("version", "hip", "clock"),
    [
        ((9, 9), None, {"clock_rate": 1_700_000}),  # a capability that nobody knows yet
        ((9, 0), None, {}),  # it does not tell its clock
        ((9, 0), "6.4", {"clock_rate": 1_700_000}),  # AMD: its cores are others
    ],
)
def test_a_gpu_that_tells_too_little_is_timed(
    prepare: ModuleType,
    version: tuple[int, int],
    hip: str | None,
    clock: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "Some other card", 24, version, multi_processor_count=100, **clock)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(prepare, "timed_speed", lambda device: {"cuda": 5e13}[device])
    assert prepare.speed.__wrapped__("cuda") == 5e13


def test_the_script_fits_one_sitting() -> None:
    assert len((FILES / "train.py").read_text().splitlines()) <= 500
