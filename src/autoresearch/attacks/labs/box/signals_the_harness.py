"""Stops its supervisor for a while, so that nobody looks at the caps.

protects: the harness is out of reach
expect: discard
says: worse than
needs tier: 2
"""

import os
import pathlib
import signal
import time

import prepare

FACTS = {}


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
            yield pid, b"supervisor.py" in words
        pid = 0 if pid == FACTS["engine"] else int(status.rpartition(")")[2].split()[1])


def reach(pid, is_supervisor):
    try:
        os.kill(pid, signal.SIGSTOP if is_supervisor else 0)
        time.sleep(0.05)
        os.kill(pid, signal.SIGCONT)
    except OSError:
        return False
    return True


harness, _, _ = prepare.start()
reached = [reach(*each) for each in harness_processes()]
prepare.submit(harness, breached=any(reached))
