"""What the attacks really did, seen from outside of the box: an attack is not asked about it.

Listeners say who connected. Traces of one experiment: processes that outlived its run, code of it
that somebody else ran (a marker file), and changes to the lab's repository. All that is found is
removed, so that each attack is judged alone.

Not covered: what an attack did without a trace (it read something); the script itself says so.
"""

import selectors
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

OWN_FILES = ("prepare.py", "train.py", "program.md", ".git/config", ".git/HEAD", ".git/hooks")


@dataclass(slots=True)
class Listeners:
    """Servers on this machine that no experiment may reach; `heard` are the kinds that were."""

    sockets: dict[str, socket.socket]
    abstract: str
    heard: set[str] = field(default_factory=set)
    closing: bool = False

    def port(self, kind: str) -> int:
        return int(self.sockets[kind].getsockname()[1])

    def listen(self) -> None:
        """Take every connection and packet; answer packets."""
        with selectors.DefaultSelector() as selector:
            for kind, server in self.sockets.items():
                selector.register(server, selectors.EVENT_READ, kind)
            while not self.closing:
                for key, _ in selector.select(0.1):
                    self.heard.add(key.data)
                    with suppress(OSError):
                        answer(self.sockets[key.data])


def answer(server: socket.socket) -> None:
    if server.type == socket.SOCK_DGRAM:
        data, sender = server.recvfrom(64)
        server.sendto(data, sender)
    else:
        server.accept()[0].close()


@contextmanager
def listeners(token: str) -> Iterator[tuple[Listeners, str]]:
    """TCP, UDP and unix servers, the latter by path and by abstract name; and the path.

    A socket's address is short: its folder is one of its own, not below the lab's.
    """
    abstract = f"autoresearch-doctor-{token}"
    kinds = {
        "TCP": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "UDP": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
    }
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="autoresearch-"))
        path = f"{folder}/socket"
        unix: dict[str, str] = {"unix": path}
        if sys.platform == "linux":
            unix["abstract unix"] = f"\0{abstract}"
        servers = {}
        for kind, (family, style, address) in kinds.items():
            servers[kind] = stack.enter_context(socket.socket(family, style))
            servers[kind].bind(address)
        for kind, name in unix.items():
            servers[kind] = stack.enter_context(socket.socket(socket.AF_UNIX))
            servers[kind].bind(name)
        for server in servers.values():
            if server.type == socket.SOCK_STREAM:
                server.listen()
        found = Listeners(servers, abstract)
        thread = threading.Thread(target=found.listen)
        thread.start()
        try:
            yield found, path
        finally:
            found.closing = True
            thread.join()


def survivors(lab: Path) -> list[psutil.Process]:
    """Processes that were started for a run in the lab, and live: their environment names it."""
    mine = {psutil.Process().pid, *(each.pid for each in psutil.Process().parents())}
    return [each for each in psutil.process_iter() if each.pid not in mine and names(each, lab)]


def names(process: psutil.Process, lab: Path) -> bool:
    with suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(lab) in " ".join(process.environ().values())
    return False


@dataclass(slots=True)
class Witness:
    """Looks for the traces of one experiment after the other."""

    lab: Path
    listeners: Listeners
    originals: dict[Path, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.originals = self._own_files()

    @property
    def marker(self) -> Path:
        return self.lab.with_name("marker")

    def _own_files(self) -> dict[Path, bytes]:
        places = [self.lab / name for name in OWN_FILES]
        inside = [path for place in places if place.is_dir() for path in place.iterdir()]
        return {path: path.read_bytes() for path in (*places, *inside) if path.is_file()}

    def outlived(self) -> list[str]:
        """Complaint about what is alive when a run is over; it is stopped."""
        found = survivors(self.lab)
        for each in found:
            with suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(found, timeout=5)
        return [f"{len(found)} of its processes outlived the run"] if found else []

    def traces(self) -> list[str]:
        """Complaints about everything else that was left; it is removed."""
        found = [f"somebody listened to it by {kind}" for kind in sorted(self.listeners.heard)]
        self.listeners.heard.clear()
        if self.marker.exists():
            self.marker.unlink()
            found.append("code of it was run by somebody else")
        now = self._own_files()
        for path in now.keys() | self.originals.keys():
            if now.get(path) != self.originals.get(path):
                found.append(f"it changed {path.relative_to(self.lab)}")
                self._restore(path)
        return found

    def _restore(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path in self.originals:
            path.write_bytes(self.originals[path])


def sweep(token: str, folders: tuple[Path, ...]) -> None:
    """Remove what attacks left in places outside of the lab."""
    for folder in folders:
        with suppress(OSError):
            for path in folder.glob(f"autoresearch-attack-{token}*"):
                path.unlink()
