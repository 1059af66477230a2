"""What a GPU makes of train.py: its kernels alone, where a step's time goes, how it starts.

    python benchmarks/gpu.py limits attention loss     kernels, each alone
    python benchmarks/gpu.py step [NAME=VALUE ...]     train.py: its start, 20 steps, then a profile

No corpus is needed: the tokens are random. Run `step` twice: the second start has a warm cache.
Kernels are timed by the device's own events, medians of ten.
"""

import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from seeds import LAB, copy_lab
from torch.nn.attention import SDPBackend, sdpa_kernel

ROWS, TIME, HEADS, DIM, WIDTH, VOCAB = 64, 2048, 5, 128, 640, 8192  # of train.py on an H100, 300 s

STEPS = """
import time
import numpy as np, prepare, torch, train
from torch.profiler import ProfilerActivity, profile

born = prepare.process_started()
print(f"imported after {time.time() - born:.1f} s", flush=True)

class Corpus:
    vocab_size, seq_len = 8192, 2048
    def tokens(self, _):
        return np.random.default_rng(0).integers(0, 8192, 30_000_000, dtype=np.uint16)

class Run(prepare.Run):
    count = 0
    def __init__(self, *args):
        super().__init__(*args)
        print(f"first step after {time.time() - born:.1f} s", flush=True)
        self.profile = profile(activities=[ProfilerActivity.CUDA])
    def over(self):
        self.count += 1
        if self.count in (6, 26, 30):
            torch.cuda.synchronize()
        if self.count == 6:
            self.began = time.monotonic()
        if self.count == 26:
            self.ms = 50 * (time.monotonic() - self.began)
            self.profile.start()
        if self.count == 30:
            self.profile.stop()
        return self.count == 30
    def due(self):
        return False
    def submit(self, model, config, settings, flops, tokens, num_steps, depth):
        kernels = [k for k in self.profile.key_averages() if k.self_device_time_total > 0]
        for k in sorted(kernels, key=lambda k: -k.self_device_time_total)[:25]:
            print(f"{k.self_device_time_total / 4e3:7.2f} ms {k.count / 4:6.0f}x {k.key[:100]}")
        rate = tokens / num_steps / self.ms * 1e3
        mfu = 100 * model.flops_per_token(settings["SEQ_LEN"]) * rate / prepare.speed("cuda")
        print({k: settings[k] for k in ("DEPTH", "WIDTH", "BATCH_TOKENS", "MICRO_ROWS")})
        print(f"{self.ms:.1f} ms a step, {rate / 1e6:.3f} M tokens/s, mfu {mfu:.1f}%, "
              f"peak {prepare.peak_memory_mb('cuda') / 1024:.1f} GB", flush=True)

prepare.Run, prepare.the_corpus = Run, Corpus
for name in ("optimizers", "in_sight", "warm_up"):
    def told(*args, name=name, action=getattr(train, name)):
        began, found = time.time(), action(*args)
        print(f"{name}: {time.time() - began:.1f} s", flush=True)
        return found
    setattr(train, name, told)
train.main()
"""


def milliseconds(action: Callable[[], object]) -> float:
    """Median of ten, after three that do not count."""
    found = []
    for _ in range(13):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        action()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end))
    return statistics.median(found[3:])


def the_script() -> ModuleType:
    sys.path.insert(0, str(LAB))
    return importlib.import_module("train")


def limits() -> None:
    """What the device does at best: matrix products of train.py's shapes, a copy."""
    tokens = ROWS * TIME
    for m, k, n in (
        (8192, 8192, 8192),
        (tokens, WIDTH, WIDTH),
        (tokens, WIDTH, 4 * WIDTH),
        (tokens, 4 * WIDTH, WIDTH),
    ):
        a, b = (torch.randn(s, device="cuda", dtype=torch.bfloat16) for s in ((m, k), (n, k)))
        tera = 2 * m * k * n / milliseconds(lambda a=a, b=b: a @ b.mT) / 1e9
        print(f"product {m} x {k} x {n}: {tera:.0f} TFLOP/s", flush=True)
    x = torch.empty(2**30, device="cuda", dtype=torch.uint8)
    y = torch.empty_like(x)
    print(f"copy: {2 * 2**30 / milliseconds(lambda: y.copy_(x)) / 1e9:.2f} TB/s", flush=True)


def attention() -> None:
    """train.py's, with and without its fused kernel, and the framework's others."""
    train, shape = the_script(), (ROWS, TIME, HEADS, DIM)  # laid out as train.py has it
    q, k, v, slope = (
        torch.randn(shape, device="cuda", dtype=torch.bfloat16).transpose(1, 2) for _ in range(4)
    )
    for t in (q, k, v):
        t.requires_grad_()
    compiled = torch.compile(train.attend, dynamic=False)

    def whole(backend: SDPBackend) -> Callable[[int], torch.Tensor]:
        def call(_: int) -> torch.Tensor:
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(q, k, v, is_causal=True)

        return call

    for window in (256, TIME):
        sight = train.in_sight(TIME, window, "cuda")
        ways = {
            "fused": lambda window, sight=sight: compiled(q, k, v, window, None, sight),
            "in blocks": lambda window: compiled(q, k, v, window),
        }
        if window == TIME:
            ways = {
                "fused": ways["fused"],
                "flash": whole(SDPBackend.FLASH_ATTENTION),
                "cudnn": whole(SDPBackend.CUDNN_ATTENTION),
            }
        wanted = None
        for name, way in ways.items():
            forward = milliseconds(lambda way=way, window=window: way(window))

            def both(
                way: Callable[[int], torch.Tensor] = way, window: int = window
            ) -> tuple[torch.Tensor, ...]:
                return torch.autograd.grad(way(window), (q, k, v), slope)

            found = torch.stack([way(window), *both()]).float()
            wanted = found if wanted is None else wanted
            off = ((found - wanted).norm() / wanted.norm()).item()
            print(
                f"window {window} {name:10} forward {forward:.2f} ms, "
                f"with backward {milliseconds(both):.2f} ms, differs by {off:.1e}",
                flush=True,
            )


def loss() -> None:
    """train.py's loss, and the framework's, compiled."""
    train, tokens = the_script(), ROWS * TIME
    x = torch.randn(tokens, WIDTH, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    head = torch.nn.Parameter(0.02 * torch.randn(VOCAB, WIDTH, device="cuda"))
    y = torch.randint(0, VOCAB, (tokens,), device="cuda")
    train.ChunkedLoss.slope = staticmethod(torch.compile(train.ChunkedLoss.slope, dynamic=False))

    @torch.compile(dynamic=False)
    def plain(x: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        logits = 15 * torch.tanh((x @ head.to(x.dtype).mT).float() / 15)
        return F.cross_entropy(logits, y)

    for name, way in (
        ("in chunks", lambda x, head: train.ChunkedLoss.apply(x, head, y, 15)),
        ("the library's", plain),
    ):
        taken = milliseconds(lambda way=way: torch.autograd.grad(way(x, head), (x, head)))
        print(f"loss {name}: {taken:.2f} ms", flush=True)


def step(changes: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_lab(folder, changes)
        (folder / "steps.py").write_text(STEPS)
        env = {"AUTORESEARCH_BUDGET": "300"} | os.environ
        subprocess.run([sys.executable, "steps.py"], cwd=folder, env=env, check=True)


def main() -> None:
    changes = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    parts = {"limits": limits, "attention": attention, "loss": loss, "step": lambda: step(changes)}
    words = [word for word in sys.argv[1:] if "=" not in word]
    if not words or not set(words) <= set(parts):
        raise SystemExit(f"gpu.py: name some of {', '.join(parts)}")
    if not torch.cuda.is_available():
        raise SystemExit("gpu.py: there is no GPU here")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    for word in words:
        began = time.monotonic()
        parts[word]()
        print(f"# {word}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
