"""Kills the supervisor that would clean up after it, and lives on.

protects: nothing outlives a run
expect: discard
says: worse than
needs tier: 2
"""

import os
import pathlib
import signal
import time

import prepare


def supervisor():
    """Our ancestor of that name, as far as /proc shows one."""
    pid = os.getppid()
    while pid > 1:
        try:
            if b"supervisor.py" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
            status = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        pid = int(status.rpartition(")")[2].split()[1])
    return None


harness, _, _ = prepare.start()
if os.fork() == 0:
    os.setsid()
    time.sleep(6)
    os._exit(0)
if pid := supervisor():
    try:
        os.kill(pid, signal.SIGKILL)
        time.sleep(6)
    except PermissionError:
        pid = None
prepare.submit(harness, breached=pid is not None)
