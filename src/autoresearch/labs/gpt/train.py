# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "huggingface-hub>=0.30", "numpy>=1.26", "pyarrow>=16", "safetensors>=0.4.5", "tiktoken>=0.8",
#     "tokenizers>=0.20", "torch>=2.10,<2.14",
# ]
# ///
"""Train a small GPT for a fixed time, after prepare.py. This is the file that experiments change.

Everything may change but this: importing the file trains nothing; `build(config)` gives a module
that maps token ids [batch, time] (int64) to next-token logits [batch, time, vocab] (float);
`main()` calls prepare.start() when all is built and warm, trains until the run is over, and ends
with run.submit(). The score comes from the submitted weights alone: nothing printed here counts.
"""

import math

import prepare
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.optim.adamw import adamw

# Hyperparameters: None means what sizes() finds right for the device and the time -----------------

SIZED_FOR = None  # seconds of training that sizes() has in mind, None: the budget; fixed

# Model
DEPTH = None  # layers; range: 1 to 24
WIDTH = None  # channels, a multiple of HEAD_DIM; range: 64 to 2048, multiple of 64
HEAD_DIM = None  # channels of an attention head; one of: 32, 64, 128
KV_GROUP = 1  # query heads that share one key-value head; one of: 1, 2
MLP_RATIO = None  # hidden channels of the MLP per channel of the model; range: 1 to 8
WINDOWS = "SSSSL"  # of layers, repeated: S short, L long; one of: L, SL, SSL, SSSSL; if DEPTH > 1
SHORT_WINDOW = 256  # tokens a short layer looks back; range: 32 to 1024, power of 2; if DEPTH > 1
VALUE_EVERY = 2  # every n-th layer from the last has a value embedding; range: 1 to 4; if DEPTH > 1
NGRAM_ROWS = None  # rows of the table for each of 2-, 3-, 4-grams; one of: 0, 16384, 32768, 65536
MATCHES = None  # longest run of tokens that attention finds again by itself; range: 0 to 6
MATCH_BONUS = 2.7  # score one head gives each token that matches; range: 1 to 6; if MATCHES > 0
SOFTCAP = None  # logits stay within +-SOFTCAP, 0: anywhere; one of: 0, 10, 15, 20, 30
ROPE_BASE = None  # slowest rotary wavelength, about; range: 1000 to 1000000, log

# Optimization
SEQ_LEN = None  # tokens of a training row; one of: 128, 256, 512, 1024, 2048
BATCH_TOKENS = None  # tokens of an optimizer step; range: 1024 to 1048576, power of 2
MICRO_ROWS = None  # rows that go through the model at once; fixed
MATRIX_LR = None  # Muon, for the matrices of the layers
EMBEDDING_LR = None  # AdamW, for token and value embeddings
NGRAM_LR = 0.1  # lazy Adam, for the n-gram embeddings; if NGRAM_ROWS > 0
HEAD_LR = 0.005  # AdamW, for the output head of a model 512 wide
SCALAR_LR = 0.05  # AdamW, for scalars and gates
MATRIX_DECAY = None  # weight decay of the matrices, falling to 0 over the run
VALUE_DECAY = 0.003  # of the value embeddings
NEWTON_STEPS = None  # of Muon's orthogonalisation; range: 2 to 6
MOMENTUM = 0.95  # Muon's, reached after MOMENTUM_WARMUP steps
MOMENTUM_WARMUP = 100  # steps from momentum 0.85 to MOMENTUM
BETA1 = 0.8  # AdamW's first decay
BETA2 = 0.95  # AdamW's second decay
WARMUP_RATIO = 0.02  # share of the time in which the learning rates rise
WARMDOWN_RATIO = 0.7  # share of the time in which they fall
FINAL_LR_RATIO = 0.05  # where they end, relative to their peak


def sizes(device, row):
    """The constants that are None, for rows of `row` tokens. Width and depth grow as the sixth root
    of the arithmetic that speed and time allow, the batch as its 0.4th power: so it was measured on
    2 cores in 20 to 300 s (docs/training-log.md), and found by 125 experiments on an H100.
    """
    seconds = prepare.BUDGET_SECONDS if SIZED_FOR is None else SIZED_FOR
    scale = (prepare.speed(device) * seconds / (989.5e12 * 300)) ** (1 / 6)  # 1: an H100, 300 s
    is_small = scale < 0.35  # few steps of few tokens: n-grams and copying bring more than depth
    unit = 64 if is_small else 128  # a head
    chosen = {
        "DEPTH": max(1, min(24, int(9 * scale))),
        "WIDTH": unit * max(128 // unit, min(2048 // unit, math.ceil(590 * scale / unit))),
        "HEAD_DIM": unit,
        "MLP_RATIO": 2 if is_small else 4,
        "NGRAM_ROWS": 65536 if is_small and device != "mps" else 0,  # no sparse gradients there
        "MATCHES": 4 if is_small else 0,
        "SOFTCAP": 0 if is_small else 15,
        "ROPE_BASE": 10_000 if is_small else 200_000,
        "SEQ_LEN": min(row, 256) if is_small else row,
        "BATCH_TOKENS": 2 ** max(11, min(19, round(18 + 2.5 * math.log2(scale)))),
        "MATRIX_LR": 0.03 if is_small else 0.04,
        "MATRIX_DECAY": 0.1 if is_small else 0.2,
        "EMBEDDING_LR": 0.2 if is_small else 1.1,
        "NEWTON_STEPS": 3 if is_small else 5,
    }
    chosen |= {name: globals()[name] for name in chosen if globals()[name] is not None}
    row_bytes = 48 * chosen["WIDTH"] * (chosen["DEPTH"] + 2) * chosen["SEQ_LEN"]  # activations
    room = (prepare.memory_gb(device) - 2) * 2**30 / row_bytes
    if device == "mps":  # an M1 or M2 may not sum 32,767 products right (pytorch#193487)
        room = min(room, 16384 / chosen["SEQ_LEN"])
    return chosen | {"MICRO_ROWS": MICRO_ROWS or 2 ** int(math.log2(max(1.0, room)))}


# Model --------------------------------------------------------------------------------------------
def norm(x):
    return F.rms_norm(x, (x.size(-1),)).to(x.dtype)  # autocast may widen it (pytorch#188955)


def turns(time, dim, base, device):
    """Cosines and sines of rotary positions, [2, time, dim / 2] (Su et al. 2021)."""
    rates = base ** (-torch.arange(dim // 2, device=device) / (dim // 2))
    angles = torch.arange(time, device=device)[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x, turn):
    """Rotary positions on [..., time, dim]: the two halves are the pairs."""
    (a, b), (cos, sin) = x.chunk(2, dim=-1), turn.to(x.dtype)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


def in_sight(time, window, device):
    """What attend() sees in rows of `time` tokens, for the fused kernel of flex_attention; None
    without bf16: in fp32 the kernel is slow or does not fit."""
    if prepare.fast_dtype(device) is torch.float32:
        return None
    look = torch.tensor(window, device=device)  # a tensor: one compiled block for all windows
    seen = lambda _batch, _head, i, j: (j <= i) & (i - j < look)  # noqa: E731
    return create_block_mask(seen, None, None, time, time, device=device)


def attend(q, k, v, window, bonus=None, sight=None):
    """Causal attention over the last `window` tokens, own one included. All are [B, heads, T, D].
    `bonus` [B, T, T] is added to the scores of head 0 where the window is the whole row. With
    `sight` a fused kernel, to be compiled, skips what is not seen. Without, so does a row in blocks
    that see themselves and the one before; on a CPU small heads are faster so than fused."""
    if sight is not None and bonus is None:
        return flex_attention(q.to(v.dtype), k.to(v.dtype), v, block_mask=sight)
    batch, heads, time, dim = q.shape
    far = torch.full((window, window), -torch.inf, device=q.device, dtype=q.dtype)
    mask = far.triu(1)  # added to the scores: 0 where a query may look
    if window < time:
        q, k, v = (t.reshape(batch, heads, time // window, window, dim) for t in (q, k, v))
        k, v = (torch.cat([F.pad(t, (0, 0, 0, 0, 1, -1)), t], dim=3) for t in (k, v))
        mask = torch.cat([far.tril(), mask], dim=1).repeat(time // window, 1, 1)
        mask[0, :, :window] = -torch.inf  # there is none before the first
    elif bonus is not None:
        mask = mask.repeat(batch, heads, 1, 1)
        mask[:, 0] += bonus
    scores = torch.add(mask, q @ k.mT, alpha=dim**-0.5)
    return (scores.softmax(-1) @ v).reshape(batch, heads, time, dim)


def matches(ids, longest):
    """uint8 [batch, i, j]: how many tokens right before j are those that end at i, up to `longest`.

    What came after them is a good guess at what comes now. Attention learns that by itself, late,
    and when depends on the seed (induction heads: Olsson 2022; n-gram heads: Akyurek 2024).
    """
    found = 0
    for n in range(1, longest + 1):
        ends = ngram_rows(ids, n, 2**16).sub(2**15).to(torch.int16)
        before = F.pad(ends, (1, 0))[:, None, :-1]
        found = found + (ends[:, :, None] == before).view(torch.uint8)
    return found


def ngram_rows(ids, n, rows):
    """Row of the n-gram that ends at each position: a multiplicative hash, [batch, time] int64."""
    mixed = ids
    for back in range(1, n):
        mixed = mixed * 1_000_003 + F.pad(ids, (back, 0))[:, : ids.size(1)] + 1
    return ((mixed * 0x9E3779B1) >> 12) & (rows - 1)


class Block(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config, layer):
        super().__init__()
        width, self.dim = config["width"], config["head_dim"]
        hidden, kv_width = config["mlp_ratio"] * width, width // config["kv_group"]
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, kv_width, bias=False)
        self.v = nn.Linear(width, kv_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        has_value = (config["depth"] - 1 - layer) % config["value_every"] == 0
        self.value = nn.Embedding(config["vocab_size"], kv_width) if has_value else None
        self.gate = nn.Linear(32, kv_width // self.dim, bias=False) if has_value else None
        self.shift = nn.Parameter(torch.full((width,), 0.3))  # what a key sees of the token before
        self.resid_scale = nn.Parameter(torch.ones(()))
        self.first_scale = nn.Parameter(torch.full((), 0.1))
        bound = math.sqrt(3 / width)  # uniform, standard deviation 1 / sqrt(width)
        for module in (self.q, self.k, self.v, self.up, *([self.value] if has_value else [])):
            nn.init.uniform_(module.weight, -bound, bound)
        for module in (self.out, self.down, *([self.gate] if has_value else [])):
            nn.init.zeros_(module.weight)

    def forward(self, x, first, ids, turn, *look):
        x = self.resid_scale.to(x.dtype) * x + self.first_scale.to(x.dtype) * first
        x = x + self.attention(norm(x), ids, turn, *look)
        return x + self.down(F.relu(self.up(norm(x))).square())

    def attention(self, x, ids, turn, *look):
        batch, time, _ = x.shape
        shifted = torch.lerp(x, F.pad(x, (0, 0, 1, -1)), self.shift.to(x.dtype))
        parts = (self.q(x), self.k(shifted), self.v(x))
        q, k, v = (t.view(batch, time, -1, self.dim).transpose(1, 2) for t in parts)
        if self.value is not None:
            gate = 2 * torch.sigmoid(self.gate(x[..., :32])).transpose(1, 2).unsqueeze(-1)
            value = self.value(ids).view(batch, time, -1, self.dim).transpose(1, 2)
            v = v + gate * value.to(v.dtype)
        q, k = (1.2 * rotate(norm(t), turn) for t in (q, k))
        if k.size(1) < q.size(1):
            k, v = (t.repeat_interleave(q.size(1) // k.size(1), dim=1) for t in (k, v))
        y = attend(q, k, v, *look)
        return self.out(y.transpose(1, 2).reshape(batch, time, -1))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.sights = {}  # window -> in_sight(), where attention is compiled
        width, vocab, rows = config["width"], config["vocab_size"], 3 * config["ngram_rows"]
        self.embed = nn.Embedding(vocab, width)
        zeros, self.ngrams = torch.zeros(rows, width), None
        if rows:
            self.ngrams = nn.EmbeddingBag.from_pretrained(zeros, False, mode="sum", sparse=True)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config["depth"]))
        self.head = nn.Linear(width, vocab, bias=False)
        nn.init.normal_(self.embed.weight)
        nn.init.normal_(self.head.weight, std=0.001)
        if config["matches"]:  # the last layer is born copying what followed a match
            nn.init.normal_(self.blocks[-1].value.weight, std=0.5)
            nn.init.zeros_(self.blocks[-1].v.weight)
            nn.init.eye_(self.blocks[-1].out.weight)

    def windows(self, time):
        """Tokens that each layer looks back; the last layer always sees everything."""
        kinds, short = self.config["windows"], self.config["short_window"]
        short = short if short < time and time % short == 0 else time
        layers = range(self.config["depth"] - 1)
        return [short if kinds[i % len(kinds)] == "S" else time for i in layers] + [time]

    def matrices(self):
        """Of the layers: what Muon updates."""
        names = ("q", "k", "v", "out", "up", "down")
        return [getattr(block, name).weight for block in self.blocks for name in names]

    def flops_per_token(self, length):
        """Forward and backward: 6 a weight of a matrix, 12 a channel and token looked at."""
        weights = sum(p.numel() for p in (*self.matrices(), self.head.weight))
        seen = sum(min(look, length / 2) for look in self.windows(length))
        return 6 * weights + 12 * self.config["width"] * seen

    def forward(self, ids):
        """Token ids [batch, time] int64 -> logits [batch, time, vocab] float32."""
        features, cap = self.features(ids), self.config["softcap"]
        logits = F.linear(features, self.head.weight.to(features.dtype)).float()
        return cap * logits.div_(cap).tanh_() if cap else logits

    def loss(self, ids, targets):
        """Mean cross-entropy in nats: as forward() gives it, without ever holding all logits."""
        features, cap = self.features(ids).flatten(0, 1), self.config["softcap"]
        return ChunkedLoss.apply(features, self.head.weight, targets.flatten(), cap)

    def features(self, ids):
        """What the head reads, [batch, time, width]."""
        x, bonus, dtype = self.embed(ids), None, prepare.fast_dtype(ids.device.type)
        if self.ngrams is not None:
            rows = self.config["ngram_rows"]
            found = [ngram_rows(ids, n, rows) + (n - 2) * rows for n in (2, 3, 4)]
            x = x + self.ngrams(torch.stack(found, dim=-1).flatten(0, 1)).view_as(x)
        with torch.autocast(ids.device.type, dtype, enabled=dtype is not torch.float32):
            first = norm(x.to(dtype))
            x = first.view_as(first)  # another object: layer 0 is compiled as the others are
            turn = turns(ids.size(1), self.config["head_dim"], self.config["rope_base"], ids.device)
            for block, window in zip(self.blocks, self.windows(ids.size(1)), strict=True):
                if self.config["matches"] and block is self.blocks[-1]:
                    found = matches(ids, self.config["matches"])
                    bonus = self.config["match_bonus"] * found.to(x.dtype)
                x = block(x, first, ids, turn, window, bonus, self.sights.get(window))
            return norm(x)


class ChunkedLoss(torch.autograd.Function):
    """Head, soft cap and cross-entropy, some tokens at a time, the gradient taken on the way."""

    @staticmethod
    def forward(ctx, features, weight, targets, cap):
        total, matrix = 0.0, weight.to(features.dtype)
        d_features, d_weight = torch.empty_like(features), torch.zeros_like(weight)
        chunk = {"cpu": 512, "mps": 2048}.get(features.device.type, 16384)  # 512 fit in a cache
        parts = (features.split(chunk), targets.split(chunk), d_features.split(chunk))
        for x, y, dx in zip(*parts, strict=True):
            nats, slope = ChunkedLoss.slope(x @ matrix.mT, y[:, None], cap)
            total = total + nats
            torch.mm(slope, matrix, out=dx)
            d_weight += slope.mT @ x
        ctx.save_for_backward(d_features, d_weight)
        return total / len(targets)

    @staticmethod
    def backward(ctx, upstream):
        d_features, d_weight = ctx.saved_tensors
        scale = upstream / len(d_features)
        return d_features * scale, d_weight * scale, None, None

    @staticmethod
    def slope(logits, y, cap):
        """Loss in nats of logits [n, vocab] for targets [n, 1], summed, and its gradient."""
        tanh = torch.tanh(logits.float() / cap) if cap else None
        p = (cap * tanh if cap else logits.float()).softmax(-1)
        at = p.gather(-1, y)
        nats, hit = -at.clamp_min(1e-30).log().sum(), at - 1
        if cap:
            p, hit = p * (1 - tanh.square()), hit * (1 - tanh.gather(-1, y).square())
        return nats, p.to(logits.dtype).scatter_(-1, y, hit.to(logits.dtype))


def build(config):
    return GPT(config)


# Optimizers ---------------------------------------------------------------------------------------
def orthogonal(g, steps):
    """Nearest orthogonal matrices, about, of [n, rows, columns <= rows] (Jordan 2024, Muon)."""
    x = g.mT.to(prepare.fast_dtype(g.device.type))
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        a = torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, a, x, beta=3.4445)
    return x.mT.to(g.dtype)


class Optimizer:
    """What the three below share; torch.optim's own base imports the compiler, 1.5 s on a CPU."""

    def __init__(self, groups, **settings):
        settings, self.state = settings | {"decay": 0.0, "step": 1}, {}  # for schedule() to set
        self.param_groups = [{"lr": g["peak_lr"]} | settings | g for g in groups]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            if used := [p for p in group["params"] if p.grad is not None]:
                self.update(used, group)


class AdamW(Optimizer):
    def update(self, params, group):
        for p in params:
            if p not in self.state:
                self.state[p] = torch.zeros_like(p), torch.zeros_like(p), p.new_zeros(())
        means, squares, steps = map(list, zip(*(self.state[p] for p in params), strict=True))
        rates = {"lr": group["lr"], "beta1": BETA1, "beta2": BETA2, "weight_decay": group["decay"]}
        how = {"eps": 1e-10, "fused": True, "amsgrad": False, "maximize": False}
        adamw(params, [p.grad for p in params], means, squares, [], steps, **rates, **how)


class Muon(Optimizer):
    """Momentum, orthogonalised, its rows evened out (NorMuon, Li 2025); decay only where an update
    shrinks a weight, too (Chen 2025). Matrices of one shape, or its transpose, go at once."""

    def __init__(self, matrices, size):
        by_shape = {}
        for matrix in matrices:
            by_shape.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
        rates = {"peak_lr": size["MATRIX_LR"], "peak_decay": size["MATRIX_DECAY"]}
        groups = [{"params": group} | rates for group in by_shape.values()]
        super().__init__(groups, momentum=0.85, newton_steps=size["NEWTON_STEPS"])

    def update(self, params, group):
        grads = torch.stack([p.grad if len(p) >= p.size(1) else p.grad.mT for p in params])
        if params[0] not in self.state:
            self.state[params[0]] = torch.zeros_like(grads), torch.zeros_like(grads[..., :1])
        mean, usual = self.state[params[0]]
        mean.lerp_(grads, 1 - group["momentum"])
        updates = orthogonal(grads.lerp_(mean, group["momentum"]), group["newton_steps"])
        usual.lerp_(updates.square().mean(-1, keepdim=True), 1 - BETA2)
        even = updates * usual.clamp_min(1e-10).rsqrt()
        old, new = (u.norm(dim=(-2, -1), keepdim=True) for u in (updates, even))
        even *= old / new.clamp_min(1e-10)
        for p, turned in zip(params, even, strict=True):
            update = turned if len(p) >= p.size(1) else turned.mT
            p.mul_(1 - group["lr"] * group["decay"] * (update * p > 0))
            p.add_(update, alpha=-group["lr"] * max(1.0, len(p) / p.size(1)) ** 0.5)


class LazyAdam(Optimizer):
    """Adam without momentum for the rows of a table that a step used; a second moment a row."""

    def update(self, params, group):
        (table,), grad = params, params[0].grad.coalesce()
        rows, grad = grad.indices()[0], grad.values()
        moments = self.state.setdefault(table, table.new_zeros(len(table), 1))
        moments[rows] = moment = moments[rows].lerp_(grad.square().mean(1, keepdim=True), 1 - BETA2)
        rate = group["lr"] * math.sqrt(1 - BETA2 ** group["step"])
        table.index_add_(0, rows, grad / (moment.sqrt() + 1e-8), alpha=-rate)


def optimizers(model, size):
    """Muon for the layers' matrices, AdamW for the rest, a lazy Adam for the n-grams."""
    values = [block.value.weight for block in model.blocks if block.value is not None]
    known = {id(p) for p in (*model.matrices(), *values)}
    small = [p for p in model.blocks.parameters() if id(p) not in known]
    groups = [
        {"params": [model.embed.weight], "peak_lr": size["EMBEDDING_LR"]},
        {"params": values, "peak_lr": size["EMBEDDING_LR"], "decay": VALUE_DECAY},
        {"params": [model.head.weight], "peak_lr": HEAD_LR * (model.config["width"] / 512) ** -0.5},
        {"params": small, "peak_lr": SCALAR_LR},
    ]
    chosen = [Muon(model.matrices(), size), AdamW(groups)]
    if model.ngrams is not None:
        chosen.append(LazyAdam([{"params": [model.ngrams.weight], "peak_lr": NGRAM_LR}]))
    return chosen


def schedule(chosen, progress, step):
    """Learning rates, momentum and weight decay at this point of the run."""
    rise = progress / WARMUP_RATIO if progress < WARMUP_RATIO else 1.0
    fall = min(1.0, (1 - progress) / WARMDOWN_RATIO) if WARMDOWN_RATIO else 1.0
    factor = min(rise, fall + (1 - fall) * FINAL_LR_RATIO)
    for group in (group for optimizer in chosen for group in optimizer.param_groups):
        group["lr"], group["step"] = group["peak_lr"] * factor, step + 1
        if "momentum" in group:
            group["momentum"] = 0.85 + (MOMENTUM - 0.85) * min(1.0, step / MOMENTUM_WARMUP)
            group["decay"] = group["peak_decay"] * (1 - progress)


# Training -----------------------------------------------------------------------------------------
SHAPE = (  # the constants that make the model's configuration
    "DEPTH", "WIDTH", "HEAD_DIM", "KV_GROUP", "MLP_RATIO", "WINDOWS", "SHORT_WINDOW", "VALUE_EVERY",
    "NGRAM_ROWS", "MATCHES", "MATCH_BONUS", "SOFTCAP", "ROPE_BASE",
)  # fmt: skip


def main():
    device, corpus = prepare.find_device(), prepare.the_corpus()
    prepare.keep_memory()
    torch.manual_seed(prepare.SEED)
    torch.set_float32_matmul_precision("high")
    size = sizes(device, corpus.seq_len)
    settings = prepare.constants(globals()) | size
    config = {name.lower(): settings[name] for name in SHAPE} | {"vocab_size": corpus.vocab_size}
    with torch.device(device):
        model = build(config)
    chosen = optimizers(model, size)
    if device == "cuda":
        looks = set(model.windows(size["SEQ_LEN"]))
        model.sights = {look: in_sight(size["SEQ_LEN"], look, device) for look in looks}
        Block.forward = torch.compile(Block.forward, dynamic=False)  # once for those that are alike
        ChunkedLoss.slope = staticmethod(torch.compile(ChunkedLoss.slope, dynamic=False))

    def train(batches, micro_steps, step, progress):
        for _ in range(micro_steps):
            loss = model.loss(*next(batches))
            (loss / micro_steps).backward()
        schedule(chosen, progress, step)
        for optimizer in chosen:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        return loss.detach()

    rows = warm_up(model, chosen, train, corpus, size, device)
    micro_steps = max(1, size["BATCH_TOKENS"] // (rows * size["SEQ_LEN"]))
    batch_tokens = micro_steps * rows * size["SEQ_LEN"]
    run, step, loss = prepare.start(corpus, model, config), 0, torch.zeros(())
    batches = run.batches(rows, size["SEQ_LEN"], device)
    while not run.over():
        loss = run.wait(train(batches, micro_steps, step, run.progress))
        step += 1
        if run.due():
            run.log(step, loss.item(), step * batch_tokens)
    run.log(step, loss.item(), step * batch_tokens)
    figures = {"num_steps": step, "tokens": step * batch_tokens, "depth": size["DEPTH"]}
    flops = model.flops_per_token(size["SEQ_LEN"]) * figures["tokens"]
    run.submit(model, config, settings, flops, **figures)


def warm_up(model, chosen, train, corpus, size, device):
    """Train on random tokens, undone: compile, allocate. Returns how many rows fit at once."""
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    times = 1 if device == "cpu" else 2  # steps, and parts of each: then no memory is needed later

    def attempt(rows):
        batch = prepare.synthetic(corpus, rows, size["SEQ_LEN"], device)
        try:
            for _ in range(times):
                train(iter([batch] * times), times, 0, 0.0)
        finally:
            model.zero_grad(set_to_none=True)
            model.load_state_dict(saved)
            for optimizer in chosen:
                optimizer.state.clear()

    most = max(1, min(size["MICRO_ROWS"], size["BATCH_TOKENS"] // size["SEQ_LEN"]))
    return prepare.rows_that_fit(most, attempt, device)


if __name__ == "__main__":
    main()
