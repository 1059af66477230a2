"""Our train.py beside the original's: same corpus, rows, validation text, machine and budget.

    git clone https://github.com/karpathy/autoresearch original
    python benchmarks/original/run.py original [--budget 60] [--seeds 5] [--source python]
    python benchmarks/original/run.py original --try        which size suits it here

Runs both in turns, a fresh seed each round, and prints every run, then medians, spread and ratios.
Of the original, prepare.py is replaced by the one beside this file (our tokens and scoring), its
downloaded attention by the framework's, and where there is no GPU its size by the best of CONFIGS.
Every step is timed but the first, in which it compiles (the original leaves out eleven).
"""

import argparse
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from autoresearch.source.constants import rewrite

HERE = Path(__file__).parent
LAB = HERE.parent.parent / "src" / "autoresearch" / "labs" / "gpt"

# Sizes of the original to choose from on a CPU: constants of its train.py, and compiled or not.
CONFIGS = {
    f"{depth}x{width} batch {batch}{' eager' if eager else ''}": (
        {
            "DEPTH": f"{depth}",
            "ASPECT_RATIO": f"{width // depth}",
            "HEAD_DIM": "64",
            "TOTAL_BATCH_SIZE": f"{batch}",
            "DEVICE_BATCH_SIZE": f"{min(8, batch // 512)}",
        },
        eager,
    )
    for depth, width, batch, eager in (
        (2, 128, 4096, False),
        (2, 128, 2048, False),
        (2, 128, 2048, True),
        (4, 128, 2048, False),
        (2, 256, 2048, False),
        (4, 256, 4096, False),
    )
}
BEST = "2x128 batch 2048"

REPLACED = (  # what the original's text says, and what it says here
    ("torch.manual_seed(42)", "torch.manual_seed(int(os.environ['AUTORESEARCH_SEED']))"),
    ("    if step > 10:\n", "    if step == 0:\n        started = t1\n    if step > 0:\n"),
    ("TOTAL_BATCH_SIZE * (step - 10)", "TOTAL_BATCH_SIZE * (step - 1)"),
    (
        'print("---")\n',
        "import ours, prepare\n"
        'print("---")\n'
        'print("startup_seconds:", started - ours.process_started())\n'
        'print("scoring_seconds:", prepare.EVALUATED[-1])\n',
    ),
)
WITHOUT_GPU = (
    ('torch.device("cuda")', 'torch.device("cpu")'),
    ('device_type="cuda"', 'device_type="cpu"'),
)


@dataclass(frozen=True)
class Ran:
    val_bpb: float
    steps: int
    tokens: float  # millions
    mfu: float  # percent
    start: float  # seconds, of the process to the first step that is timed
    training: float  # seconds
    scoring: float  # seconds
    wall: float  # seconds, start to end


def main() -> None:
    parser = argparse.ArgumentParser(description="Our train.py beside the original's")
    parser.add_argument("checkouts", type=Path, nargs="+", help="of karpathy/autoresearch")
    parser.add_argument("--budget", default="60", help="seconds of training")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--source", default="python", help="corpus, as prepare.py takes it")
    parser.add_argument("--try", dest="tries", action="store_true", help="each of CONFIGS once")
    parser.add_argument("--config", default=BEST, choices=CONFIGS, help="where there is no GPU")
    options = parser.parse_args()
    os.environ |= {"AUTORESEARCH_BUDGET": options.budget, "AUTORESEARCH_SOURCE": options.source}
    with tempfile.TemporaryDirectory() as name:
        compare(options, Path(name))


def compare(options: argparse.Namespace, folder: Path) -> None:
    ours = folder / "ours"
    ours.mkdir()
    for file in ("prepare.py", "train.py"):
        shutil.copyfile(LAB / file, ours / file)
    subprocess.run([sys.executable, "prepare.py"], cwd=ours, check=True, capture_output=True)
    if options.tries:
        for config in CONFIGS:
            show(config, run(adapted(options.checkouts[0], folder / config, config), 100))
        return
    all_of_them = {"ours": ours} | {
        checkout.name: adapted(checkout, folder / f"theirs-{checkout.name}", options.config)
        for checkout in options.checkouts
    }
    found: dict[str, list[Ran]] = {who: [] for who in all_of_them}
    for seed in range(100, 100 + options.seeds):
        for who, where in all_of_them.items():
            found[who].append(run(where, seed))
            show(f"seed {seed} {who}", found[who][-1])
    for who, runs in found.items():
        scores, walls = [ran.val_bpb for ran in runs], [ran.wall for ran in runs]
        print(
            f"{who}: median {statistics.median(scores):.4f}, mean {statistics.mean(scores):.4f}, "
            f"sd {spread(scores):.4f}, {min(scores):.4f} to {max(scores):.4f}; "
            f"wall {statistics.median(walls):.1f} s (at most {max(walls):.1f})"
        )
    first, *others = (statistics.median(r.val_bpb for r in runs) for runs in found.values())
    for checkout, other in zip(options.checkouts, others, strict=True):
        print(
            f"ours / {checkout.name}: {first / other:.3f}, {other - first:.4f} bits per byte better"
        )


def adapted(checkout: Path, folder: Path, config: str) -> Path:
    """A folder with the original's train.py, made to run here; the reason where it cannot be."""
    text = (checkout / "train.py").read_text()
    gpu = has_gpu()
    for old, new in (*REPLACED, *(() if gpu else WITHOUT_GPU)):
        if old not in text:
            raise SystemExit(f"{checkout}/train.py has no {old.strip()!r}: another version?")
        text = text.replace(old, new)
    try:
        text = rewrite(text, {} if gpu else CONFIGS[config][0])
    except KeyError as error:
        name = error.args[0]
        raise SystemExit(f"{checkout}/train.py has no constant {name}: another version?") from None
    folder.mkdir()
    eager = not gpu and CONFIGS[config][1]
    (folder / "train.py").write_text(
        "import os\n" + "os.environ['TORCHDYNAMO_DISABLE'] = '1'\n" * eager + text
    )
    shutil.copyfile(LAB / "prepare.py", folder / "ours.py")
    for file in ("prepare.py", "kernels.py"):
        shutil.copyfile(HERE / file, folder / file)
    return folder


@functools.cache
def has_gpu() -> bool:
    code = "import torch, sys; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def run(folder: Path, seed: int) -> Ran:
    env = os.environ | {"AUTORESEARCH_SEED": str(seed)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    wall = time.monotonic() - began
    lines = done.stdout.partition("---\n")[2].replace(" ", "").splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    if done.returncode or "val_bpb" not in facts:
        raise SystemExit(f"{folder.name} failed:\n{done.stdout[-500:]}\n{done.stderr[-2000:]}")
    return Ran(
        float(facts["val_bpb"]),
        int(facts["num_steps"]),
        float(facts["total_tokens_M"]),
        float(facts["mfu_percent"]),
        float(facts["startup_seconds"]),
        float(facts["training_seconds"]),
        float(facts["scoring_seconds"]),
        wall,
    )


def show(name: str, ran: Ran) -> None:
    mfu = f"mfu {ran.mfu:.1f}%  " if has_gpu() else ""
    print(
        f"{name:24} val_bpb {ran.val_bpb:.4f}  {ran.steps} steps  {ran.tokens:.2f} M tokens  "
        f"{ran.tokens / ran.training:.3f} M tokens/s  {mfu}"
        f"start {ran.start:.1f} s  trained {ran.training:.1f} s  scored {ran.scoring:.1f} s  "
        f"wall {ran.wall:.1f} s",
        flush=True,
    )


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
