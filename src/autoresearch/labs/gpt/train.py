# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "huggingface-hub>=0.30",
#     "numpy>=1.26",
#     "pyarrow>=16",
#     "safetensors>=0.4.5",
#     "tiktoken>=0.8",
#     "tokenizers>=0.20",
#     "torch>=2.10,<2.14",
# ]
# ///
"""Train a small GPT for a fixed time. This is the file that experiments change.

    python prepare.py && python train.py

Everything may change: model, optimizer, batches, schedule. What must hold: importing this file
trains nothing; `build(config)` gives a module that maps token ids [batch, time] (int64) to
next-token logits [batch, time, vocab] (float); `main()` calls prepare.start() once everything is
built and warm, trains until the run is over, and ends with run.submit(). The score comes from the
submitted weights alone: nothing printed here counts.
"""

import functools
import math
import platform
import re
import resource
import time
from pathlib import Path

import prepare
import torch
import torch.nn.functional as F
from torch import nn

# ------------------------------------------------------------------------------------------------
# Hyperparameters: None means what sizes() finds right for the device
# ------------------------------------------------------------------------------------------------

SIZED_FOR = None  # seconds of training that sizes() has in mind, None: the budget; fixed

# Model
DEPTH = None  # layers; range: 1 to 24
WIDTH = None  # channels, a multiple of HEAD_DIM; range: 64 to 2048, multiple of 64
HEAD_DIM = None  # channels of an attention head; one of: 32, 64, 128
KV_GROUP = 1  # query heads that share one key-value head; one of: 1, 2
MLP_RATIO = 4  # hidden channels of the MLP per channel of the model; range: 1 to 8
WINDOWS = "SSL"  # attention of each layer, repeated: S short, L long; one of: L, SL, SSL, SSSL
SHORT_WINDOW = 128  # tokens that a short layer looks back; range: 32 to 1024, power of 2
VALUE_EVERY = 2  # every n-th layer, counted from the last, adds a value embedding; range: 1 to 4
NGRAM_ROWS = None  # rows of each n-gram table; one of: 0, 4096, 8192, 16384, 32768, 65536
MATCHES = None  # longest run of tokens that attention finds again by itself; one of: 0, 1, 2, 3
SOFTCAP = 15.0  # logits stay within +-SOFTCAP; range: 5 to 60
ROPE_BASE = 10_000.0  # slowest rotary wavelength, about; range: 1000 to 1000000, log

# Optimization
BATCH_TOKENS = None  # tokens of an optimizer step; range: 1024 to 1048576, power of 2
MICRO_ROWS = None  # rows that go through the model at once; fixed
MATRIX_LR = 0.03  # Muon, for the matrices of the layers
EMBEDDING_LR = 0.3  # AdamW, for token and value embeddings
NGRAM_LR = 0.1  # lazy Adam, for the n-gram embeddings
HEAD_LR = 0.02  # AdamW, for the output head
SCALAR_LR = 0.05  # AdamW, for scalars and gates
MATRIX_DECAY = 0.1  # weight decay of the matrices, falling to 0 over the run
MOMENTUM = 0.95  # Muon's, reached after MOMENTUM_WARMUP steps
MOMENTUM_WARMUP = 100  # steps from momentum 0.85 to MOMENTUM
BETA1 = 0.8  # AdamW's first decay
BETA2 = 0.95  # AdamW's second decay
WARMUP_RATIO = 0.02  # share of the time in which the learning rates rise
WARMDOWN_RATIO = 0.6  # share of the time in which they fall
FINAL_LR_RATIO = 0.05  # where they end, relative to their peak

# ------------------------------------------------------------------------------------------------
# The device
# ------------------------------------------------------------------------------------------------

PEAK_TFLOPS = {  # dense bf16, from the makers' data sheets
    "H200": 989.5, "H100 PCIe": 756.5, "H100": 989.5, "B200": 2250, "A100": 312, "A10": 125,
    "A10G": 125,
    "L40S": 362, "L4": 121, "RTX 5090": 209.5, "RTX 4090": 165.2, "RTX 3090": 71, "T4": 65,
    "MI300X": 1307,
}  # fmt: skip


def sizes(device):
    """The constants that are None, for device and time: the one place where devices differ."""
    seconds = prepare.BUDGET_SECONDS if SIZED_FOR is None else SIZED_FOR
    if device == "cpu":
        chosen = {
            "DEPTH": 1 if seconds < 120 else 2,  # measured: docs/benchmarks.md
            "WIDTH": 128,
            "HEAD_DIM": 64,
            "NGRAM_ROWS": 32768,
            "MATCHES": 3,
            "BATCH_TOKENS": 2048,
            "MICRO_ROWS": 8,
        }
    elif device == "mps":
        chosen = {
            "DEPTH": 4,
            "WIDTH": 256,
            "HEAD_DIM": 64,
            "NGRAM_ROWS": 0,
            "MATCHES": 0,
            "BATCH_TOKENS": 2**15,
            "MICRO_ROWS": 16,
        }
    else:
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        rows = 2 ** max(2, min(7, int(math.log2(memory / 0.55))))
        chosen = {
            "DEPTH": 8,
            "WIDTH": 512,
            "HEAD_DIM": 128,
            "NGRAM_ROWS": 0,
            "MATCHES": 0,
            "BATCH_TOKENS": 2**18,
            "MICRO_ROWS": rows,
        }
    return {
        name: value if globals()[name] is None else globals()[name]
        for name, value in chosen.items()
    }


@functools.cache
def precision(device):
    """bf16 where the device multiplies it fast, else fp32."""
    if device == "cuda":
        return (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float32
        )
    if device == "cpu" and torch.backends.mkldnn.is_available():
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if cpuinfo.exists() else ""
        return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else torch.float32
    return torch.float32


def peak_flops(device):
    """FLOP/s that the device could do at best: from the table, or a matrix product timed now."""
    if device == "cuda":
        name = torch.cuda.get_device_name(0)
        known = (tera for part, tera in PEAK_TFLOPS.items() if re.search(rf"\b{part}\b", name))
        return next(known, math.inf) * 1e12
    a = torch.randn(1024, 1024, device=device, dtype=precision(device))
    best = math.inf
    for _ in range(4):
        began = time.monotonic()
        (a @ a)[0, 0].item()
        best = min(best, time.monotonic() - began)
    return 2 * 1024**3 / best


def peak_memory_mb(device):
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if platform.system() == "Darwin" else 2**10)


# ------------------------------------------------------------------------------------------------
# Model
# ------------------------------------------------------------------------------------------------


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    """Rotary positions on [..., time, head_dim] (Su et al. 2021): the two halves are the pairs."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


def attend(q, k, v, window, mask, bias=None):
    """Causal attention over the last `window` tokens, own one included. All are [B, heads, T, D].
    `bias` [B, heads, T, T] is added to the scores of a window as long as the row.

    A window shorter than the row is cut in blocks that see themselves and the block before, so
    the work falls with the window and no special kernel is needed.
    """
    batch, heads, time, dim = q.shape
    if window < time:
        q, k, v = (t.reshape(batch, heads, time // window, window, dim) for t in (q, k, v))
        k, v = (torch.cat([F.pad(t, (0, 0, 0, 0, 1, -1)), t], dim=3) for t in (k, v))
    if q.is_cuda and window < time:  # fused kernels take four dimensions
        bias = mask.repeat(heads, 1, 1)
        y = F.scaled_dot_product_attention(*(t.flatten(1, 2) for t in (q, k, v)), attn_mask=bias)
    elif q.is_cuda:
        full = {"is_causal": True} if bias is None else {"attn_mask": mask + bias}
        y = F.scaled_dot_product_attention(q, k, v, **full)
    else:  # small heads on a CPU: two plain matrix products beat the fused kernel
        scores = (mask if bias is None else mask + bias) + (q @ k.transpose(-1, -2)) * dim**-0.5
        y = scores.softmax(-1) @ v
    return y.reshape(batch, heads, time, dim)


def window_mask(time, window, device, dtype):
    """0 where a query may look, else -inf: [T, T], or [blocks, window, 2 * window] for attend()."""
    if window >= time:
        return torch.full((time, time), -torch.inf, device=device, dtype=dtype).triu(1)
    i = torch.arange(window, device=device)[:, None]
    j = torch.arange(2 * window, device=device)[None, :]
    band = (j > i) & (j <= i + window)
    blocks = torch.arange(time // window, device=device)[:, None, None]
    band = band & ((j >= window) | (blocks > 0))
    return torch.zeros(band.shape, device=device, dtype=dtype).masked_fill(~band, -torch.inf)


def matches(ids, longest):
    """[batch, longest, i, j]: whether the 1, 2, ... tokens before j are those that end at i.

    What came after them is a good guess at what comes now. Attention learns that by itself, but
    late, and when depends on the seed (induction heads, Olsson et al. 2022; n-gram heads, Akyurek
    et al. 2024).
    """
    found = []
    for n in range(1, longest + 1):
        ends = ngram_rows(ids, n, 2**20)
        before = F.pad(ends, (1, 0), value=-1)[:, :-1]
        found.append(ends[:, :, None] == before[:, None, :])
    return torch.stack(found, dim=1)


class Block(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config, layer):
        super().__init__()
        width, self.dim = config["width"], config["head_dim"]
        self.heads = width // self.dim
        self.kv_heads = self.heads // config["kv_group"]
        kv_width = self.kv_heads * self.dim
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, kv_width, bias=False)
        self.v = nn.Linear(width, kv_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config["mlp_ratio"] * width, bias=False)
        self.down = nn.Linear(config["mlp_ratio"] * width, width, bias=False)
        has_value = (config["depth"] - 1 - layer) % config["value_every"] == 0
        self.value = nn.Embedding(config["vocab_size"], kv_width) if has_value else None
        self.gate = nn.Linear(32, self.kv_heads, bias=False) if has_value else None
        longest = config["matches"] if layer == config["depth"] - 1 else 0  # it sees everything
        self.match = nn.Parameter(torch.zeros(self.heads, longest)) if longest else None
        self.shift = nn.Parameter(torch.zeros(2, width))  # how much of the token before k and v see

    def forward(self, x, ids, cos, sin, window, mask, found):
        x = x + self.attention(norm(x), ids, cos, sin, window, mask, found)
        return x + self.down(F.relu(self.up(norm(x))).square())

    def attention(self, x, ids, cos, sin, window, mask, found):
        batch, time, _ = x.shape
        before = F.pad(x, (0, 0, 1, -1))
        shift = self.shift.to(x.dtype)
        q, k, v = self.q(x), self.k(torch.lerp(x, before, shift[0])), self.v(x)
        q, k, v = (t.view(batch, time, -1, self.dim).transpose(1, 2) for t in (q, k, v))
        if self.value is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :32])).transpose(1, 2).unsqueeze(-1)
            v = v + gate * self.value(ids).view(batch, time, -1, self.dim).transpose(1, 2).to(
                v.dtype
            )
        q, k = rotate(norm(q), cos, sin), rotate(norm(k), cos, sin)
        if self.kv_heads < self.heads:
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, dim=1) for t in (k, v))
        bias = None
        if self.match is not None:
            bias = torch.einsum("hn,bnij->bhij", self.match.to(q.dtype), found)
        y = attend(q * 1.2, k * 1.2, v, window, mask, bias)
        return self.out(y.transpose(1, 2).reshape(batch, time, -1))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        width, depth, vocab = config["width"], config["depth"], config["vocab_size"]
        self.embed = nn.Embedding(vocab, width)
        rows = config["ngram_rows"]
        self.ngrams = nn.ModuleList(
            nn.Embedding(rows, width, sparse=True) for _ in range(3 if rows else 0)
        )
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(depth))
        self.resid_scale = nn.Parameter(torch.ones(depth))
        self.first_scale = nn.Parameter(torch.zeros(depth))
        self.head = nn.Linear(width, vocab, bias=False)
        self.tables = {}  # rotary tables and masks, by time and device
        self.initialize()

    @torch.no_grad()
    def initialize(self):
        width = self.config["width"]
        bound = math.sqrt(3 / width)  # uniform with standard deviation 1 / sqrt(width)
        nn.init.normal_(self.embed.weight)
        nn.init.normal_(self.head.weight, std=0.001)
        nn.init.constant_(self.first_scale, 0.1)
        for table in self.ngrams:
            nn.init.zeros_(table.weight)
        for block in self.blocks:
            for linear in (block.q, block.k, block.v, block.up):
                nn.init.uniform_(linear.weight, -bound, bound)
            for linear in (block.out, block.down):
                nn.init.zeros_(linear.weight)
            nn.init.constant_(block.shift, 0.3)
            if block.value is not None:
                nn.init.uniform_(block.value.weight, -bound, bound)
                nn.init.zeros_(block.gate.weight)
            if block.match is not None:  # one head is born copying what followed a match
                block.match[0] = torch.tensor([2.0, 3.0, 3.0])[: self.config["matches"]]
                if block.value is not None:
                    nn.init.normal_(block.value.weight, std=0.5)
                    nn.init.zeros_(block.v.weight)
                    nn.init.eye_(block.out.weight)

    def window(self, layer, time):
        """Tokens that a layer looks back; the last layer always sees everything."""
        kind = self.config["windows"][layer % len(self.config["windows"])]
        short = self.config["short_window"]
        fits = short < time and time % short == 0
        return short if kind == "S" and layer < self.config["depth"] - 1 and fits else time

    def flops_per_token(self):
        """Forward and backward: 6 a weight of the matrices, 12 a channel and token looked at."""
        matrices = [
            p for name, p in self.blocks.named_parameters() if p.dim() == 2 and "value" not in name
        ]
        weights = sum(p.numel() for p in (*matrices, self.head.weight))
        length = self.config["seq_len"]
        looks = (self.window(layer, length) for layer in range(self.config["depth"]))
        seen = sum(length / 2 if look >= length else look for look in looks)
        return 6 * weights + 12 * self.config["width"] * seen

    def positions(self, time, device, dtype):
        """(cos, sin, {window: mask}) for rows of this length."""
        key = (time, device, dtype)
        if key not in self.tables:
            half = self.config["head_dim"] // 2
            rates = self.config["rope_base"] ** (-torch.arange(half, device=device) / half)
            angles = torch.arange(time, device=device)[:, None] * rates
            windows = {self.window(layer, time) for layer in range(self.config["depth"])}
            masks = {window: window_mask(time, window, device, dtype) for window in windows}
            self.tables[key] = (angles.cos().to(dtype), angles.sin().to(dtype), masks)
        return self.tables[key]

    def forward(self, ids):
        """Token ids [batch, time] int64 -> logits [batch, time, vocab] float32."""
        dtype = precision(ids.device.type)
        with torch.autocast(ids.device.type, dtype, enabled=dtype is not torch.float32):
            logits = self.head(self.features(ids, dtype)).float()
        cap = self.config["softcap"]
        return cap * torch.tanh(logits / cap)

    def loss(self, ids, targets):
        """Mean cross-entropy in nats: as forward() gives it, without ever holding all logits."""
        dtype = precision(ids.device.type)
        with torch.autocast(ids.device.type, dtype, enabled=dtype is not torch.float32):
            features = self.features(ids, dtype).flatten(0, 1)
        return CappedLoss.apply(
            features, self.head.weight, targets.flatten(), self.config["softcap"]
        )

    def features(self, ids, dtype):
        """What the head reads, [batch, time, width]."""
        x = self.embed(ids).to(dtype)
        for n, table in enumerate(self.ngrams, 2):
            x = x + table(ngram_rows(ids, n, table.num_embeddings)).to(dtype)
        return self.layers(norm(x), ids)

    def layers(self, x, ids):
        """All blocks: what is compiled, since sparse gradients above it cannot be."""
        first, dtype = x, x.dtype
        cos, sin, masks = self.positions(ids.size(1), ids.device, dtype)
        longest = self.config["matches"]
        found = matches(ids, longest).to(dtype) if longest else None
        for layer, block in enumerate(self.blocks):
            x = self.resid_scale[layer].to(dtype) * x + self.first_scale[layer].to(dtype) * first
            window = self.window(layer, ids.size(1))
            x = block(x, ids, cos, sin, window, masks[window], found)
        return norm(x)


class CappedLoss(torch.autograd.Function):
    """Head, soft cap and cross-entropy, a chunk at a time, with the gradient taken on the way."""

    CHUNK = 512  # tokens; the chunk's logits stay in a CPU's cache
    GPU_CHUNK = 16384

    @staticmethod
    def forward(ctx, features, weight, targets, cap):
        total, matrix = 0.0, weight.to(features.dtype)
        d_features, d_weight = torch.empty_like(features), torch.zeros_like(weight)
        chunk = CappedLoss.GPU_CHUNK if features.is_cuda else CappedLoss.CHUNK
        parts = (features.split(chunk), targets.split(chunk), d_features.split(chunk))
        for x, y, dx in zip(*parts, strict=True):
            tanh = (x @ matrix.mT).float().div_(cap).tanh_()
            logits = tanh * cap
            lse = logits.logsumexp(-1, keepdim=True)
            total = total + (lse - logits.gather(-1, y[:, None])).sum()
            slope = (
                logits.sub_(lse)
                .exp_()
                .scatter_add_(-1, y[:, None], tanh.new_full((len(y), 1), -1.0))
            )
            slope = slope.mul_(tanh.square_().neg_().add_(1.0)).to(features.dtype)
            torch.mm(slope, matrix, out=dx)
            d_weight += slope.mT @ x
        ctx.save_for_backward(d_features, d_weight)
        ctx.count = len(targets)
        return total / len(targets)

    @staticmethod
    def backward(ctx, upstream):
        d_features, d_weight = ctx.saved_tensors
        scale = upstream / ctx.count
        return d_features * scale, d_weight * scale, None, None


def ngram_rows(ids, n, rows):
    """Row of the n-gram that ends at each position: a multiplicative hash, [batch, time] int64."""
    mixed = ids
    for back in range(1, n):
        mixed = mixed * 1_000_003 + F.pad(ids, (back, 0))[:, : ids.size(1)] + 1
    return ((mixed * 0x9E3779B1) >> 12) & (rows - 1)


def build(config):
    """The model of a configuration, untrained."""
    return GPT(config)


# ------------------------------------------------------------------------------------------------
# Optimizer
# ------------------------------------------------------------------------------------------------


def orthogonal(g, steps=5):
    """Nearest orthogonal matrices, about, of [n, rows, columns] (Newton-Schulz; Jordan 2024)."""
    x = g.to(precision(g.device.type))
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; matrices of one shape go through it together."""

    def __init__(self, matrices, lr):
        by_shape = {}
        for matrix in matrices:
            by_shape.setdefault(matrix.shape, []).append(matrix)
        super().__init__(
            [{"params": group} for group in by_shape.values()],
            {"lr": lr, "momentum": 0.85, "decay": 0.0},
        )

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group["params"]
            state, scale = (
                self.state[params[0]],
                max(1.0, params[0].size(0) / params[0].size(1)) ** 0.5,
            )
            grads = torch.stack([p.grad for p in params])
            buffer = state.setdefault("momentum", torch.zeros_like(grads))
            buffer.lerp_(grads, 1 - group["momentum"])
            update = orthogonal(grads.lerp_(buffer, group["momentum"]))
            torch._foreach_mul_(params, 1 - group["lr"] * group["decay"])
            torch._foreach_add_(params, list(update.unbind()), alpha=-group["lr"] * scale)


def optimizers(model):
    """Muon for the layers' matrices, AdamW for the rest, a lazy Adam for the sparse tables."""
    matrices = [
        p
        for b in model.blocks
        for n, p in b.named_parameters()
        if n.split(".")[0] in ("q", "k", "v", "out", "up", "down")
    ]
    values = [b.value.weight for b in model.blocks if b.value is not None]
    gates = [b.gate.weight for b in model.blocks if b.gate is not None]
    small = [p for b in model.blocks for p in (b.shift, b.match) if p is not None]
    scale = (model.config["width"] / 512) ** -0.5
    groups = [
        {"params": [model.embed.weight, *values], "lr": EMBEDDING_LR},
        {"params": [model.head.weight], "lr": HEAD_LR * scale},
        {"params": [model.resid_scale, model.first_scale, *gates, *small], "lr": SCALAR_LR},
    ]
    adam = torch.optim.AdamW(groups, betas=(BETA1, BETA2), eps=1e-10, weight_decay=0.0, fused=True)
    chosen = [Muon(matrices, MATRIX_LR), adam]
    if model.ngrams:
        chosen.append(
            torch.optim.SparseAdam([t.weight for t in model.ngrams], lr=NGRAM_LR, betas=(0.0, 0.95))
        )
    for optimizer in chosen:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return chosen


def schedule(chosen, progress, step):
    """Learning rates, momentum and weight decay at this point of the run."""
    rise = progress / WARMUP_RATIO if progress < WARMUP_RATIO else 1.0
    fall = min(1.0, (1 - progress) / WARMDOWN_RATIO) if WARMDOWN_RATIO else 1.0
    factor = min(rise, fall + (1 - fall) * FINAL_LR_RATIO)
    for optimizer in chosen:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
            if "momentum" in group:
                group["momentum"] = 0.85 + (MOMENTUM - 0.85) * min(1.0, step / MOMENTUM_WARMUP)
                group["decay"] = MATRIX_DECAY * (1 - progress)


# ------------------------------------------------------------------------------------------------
# Training
# ------------------------------------------------------------------------------------------------


def main():
    device = prepare.find_device()
    prepare.keep_memory()
    torch.manual_seed(prepare.SEED)
    torch.set_float32_matmul_precision("high")
    corpus, size = prepare.the_corpus(), sizes(device)
    config = {
        "vocab_size": corpus.vocab_size, "seq_len": corpus.seq_len, "depth": size["DEPTH"],
        "width": size["WIDTH"], "head_dim": size["HEAD_DIM"], "kv_group": KV_GROUP,
        "mlp_ratio": MLP_RATIO, "windows": WINDOWS, "short_window": SHORT_WINDOW,
        "value_every": VALUE_EVERY, "ngram_rows": size["NGRAM_ROWS"], "matches": size["MATCHES"],
        "softcap": SOFTCAP, "rope_base": ROPE_BASE,
    }  # fmt: skip
    model = build(config).to(device)
    chosen = optimizers(model)
    rows = min(size["MICRO_ROWS"], max(1, size["BATCH_TOKENS"] // corpus.seq_len))
    micro_steps = max(1, size["BATCH_TOKENS"] // (rows * corpus.seq_len))
    if device == "cuda":  # the tables first: what is compiled finds them made
        model.positions(corpus.seq_len, model.embed.weight.device, precision(device))
        model.layers = torch.compile(model.layers, dynamic=False)

    def accumulate(batches):
        for _ in range(micro_steps):
            x, y = next(batches)
            loss = model.loss(x, y)
            (loss / micro_steps).backward()
        return loss.detach()

    def update(step, progress):
        schedule(chosen, progress, step)
        for optimizer in chosen:
            optimizer.step()
        model.zero_grad(set_to_none=True)

    warm_up(model, chosen, accumulate, update, corpus, rows, device)
    peak = peak_flops(device)
    run = prepare.start(corpus, model, config)
    batches = run.batches(rows, corpus.seq_len, device)
    step, tokens = 0, 0
    while not run.over():
        loss = accumulate(batches)
        update(step, run.progress)
        step, tokens = step + 1, tokens + micro_steps * rows * corpus.seq_len
        if device == "cuda":
            torch.cuda.synchronize()  # the clock must see the device's time, not the queue's
        if run.due():
            run.log(step, check(loss, step), tokens)
    if step == 0:
        raise SystemExit("the budget is too short for a single step")
    check(loss, step)
    count = sum(p.numel() for p in model.parameters())
    run.submit(
        model,
        config,
        settings={name: size.get(name, value) for name, value in constants().items()},
        peak_memory_mb=peak_memory_mb(device),
        mfu_percent=100 * model.flops_per_token() * tokens / run.seconds / peak,
        total_tokens_M=tokens / 1e6,
        num_steps=step,
        num_params_M=count / 1e6,
        depth=config["depth"],
        num_params=count,
        tokens=tokens,
    )


def check(loss, step):
    """The loss as a number. Ends the program when there is nothing left to train."""
    value = loss.item()
    if not value < 100:
        raise SystemExit(f"training diverged: the loss is {value} at step {step}")
    return value


def constants():
    """The hyperparameters above, by name."""
    kinds = (bool, int, float, str, type(None))
    return {
        name: value
        for name, value in globals().items()
        if name.isupper() and isinstance(value, kinds)
    }


def warm_up(model, chosen, accumulate, update, corpus, rows, device):
    """A step on random tokens, undone: compile, allocate, and find out what cannot run."""
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    synthetic = iter(lambda: prepare.synthetic(corpus, rows, corpus.seq_len, device), None)
    accumulate(synthetic)
    update(0, 0.0)
    model.load_state_dict(saved)
    for optimizer in chosen:
        optimizer.state.clear()


if __name__ == "__main__":
    main()
