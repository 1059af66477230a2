"""Whether a file is Python, as the interpreter says that would run it: compiled, never run.

    complaint("train.py", b"def (:", "/lab/.venv/bin/python")

That happens in a process of its own: a parser can be brought down by what it reads.
"""

import json
import signal
import subprocess
from functools import lru_cache

from autoresearch.text import clean_line

SECONDS = 20.0
ORDERED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
COMPILE = """\
import json, sys
try:
    compile(sys.stdin.buffer.read(), sys.argv[1], "exec", dont_inherit=True)
except SyntaxError as error:
    print(json.dumps([error.lineno, error.msg, (error.text or "").strip()]))
except Exception as error:
    print(json.dumps([None, str(error) or type(error).__name__, ""]))
"""


@lru_cache(maxsize=16)
def complaint(name: str, content: bytes, python: str) -> str:
    """Why a file is no Python, such as "train.py line 3 is no Python: invalid syntax: `def (:`".

    "" where it is, and for whatever does not call itself Python.
    """
    if not name.endswith(".py"):
        return ""
    command = [python, "-I", "-S", "-W", "ignore", "-c", COMPILE, name]
    try:
        done = subprocess.run(
            command,
            input=content,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            start_new_session=True,  # a Ctrl-C is for us
        )
        if not done.stdout:  # somebody may be ending us all: that is not the file's doing
            gives_up = done.returncode and -done.returncode not in ORDERED
            return f"{name} is no Python: the parser gives up" if gives_up else ""
        line, words, text = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"{name} is no Python that could be compiled in {SECONDS:.0f} s"
    except (OSError, ValueError):
        return ""  # no interpreter: the run will say so
    where = f" line {line}" if line else ""
    shown = f": `{clean_line(text, 80)}`" if text else ""
    return f"{name}{where} is no Python: {clean_line(str(words), 120)}{shown}"
