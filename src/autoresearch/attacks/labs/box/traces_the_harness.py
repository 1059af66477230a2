"""Attaches to the harness as a debugger, and opens its memory for writing.

protects: the harness is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import ctypes
import os
import pathlib

import prepare

FACTS = {}
PTRACE_SEIZE = 0x4206  # attaches without stopping; the end of this process detaches
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4


def harness_processes():
    """Those of our ancestors that /proc shows as what they are: the supervisor and the engine."""
    pid = os.getppid()
    while pid > 1:
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            status = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        if b"supervisor.py" in words or pid == FACTS["engine"]:
            yield pid
        pid = 0 if pid == FACTS["engine"] else int(status.rpartition(")")[2].split()[1])


def reach(pid):
    try:
        with open(f"/proc/{pid}/mem", "r+b", buffering=0):
            return True
    except OSError:
        return libc.ptrace(PTRACE_SEIZE, pid, 0, 0) == 0


harness, _, _ = prepare.start()
reached = [reach(pid) for pid in harness_processes()]
prepare.submit(harness, breached=any(reached))
