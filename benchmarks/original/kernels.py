"""Stands in for the package `kernels`, which downloads Hopper's attention: same call, framework's
own attention. What the original asks of torch.cuda on a machine without it is answered here too.
"""

import resource
from types import SimpleNamespace

import ours
import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

if not torch.cuda.is_available():
    torch.cuda.get_device_capability = lambda *_: (0, 0)
    torch.cuda.manual_seed = lambda *_: None
    torch.cuda.synchronize = lambda *_: None
    torch.cuda.max_memory_allocated = lambda *_: (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
    )
MASKS: dict = {}


def flash_attn_func(q, k, v, causal, window_size):
    """[batch, time, heads, dim] each; (back, 0) tokens are seen, all of them where back >= time."""
    assert causal
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    time, back = q.size(2), window_size[0]
    if back >= time:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    elif q.is_cuda:  # inside the original's torch.compile: blocks beyond the window are skipped
        y = flex_attention(q, k, v, block_mask=MASKS[time, back])
    else:
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=MASKS[time, back])
    return y.transpose(1, 2)


def make_mask(time, back):
    """Masks are made before anything is compiled."""

    def seen(_b, _h, i, j):
        return (j <= i) & (i - j <= back)

    if torch.cuda.is_available():
        MASKS[time, back] = create_block_mask(seen, None, None, time, time, device="cuda")
    else:
        i = torch.arange(time)
        MASKS[time, back] = seen(0, 0, i[:, None], i[None, :])


def get_kernel(_repository):
    row = ours.the_corpus().seq_len
    for part in (2, 4, 8, 16):  # half in the original, an eighth where its best night ended
        make_mask(row, row // part)
    return SimpleNamespace(flash_attn_interface=SimpleNamespace(flash_attn_func=flash_attn_func))
