"""An agent's command -> the same command in a box of bubblewrap.

    argv = enclose(["gemini", "--acp"], AgentBox(tree=desk, frozen=(desk / "prepare.py",)))

The agent writes its desk, its own configuration folders and nothing else. Paths are the same
inside as outside; the home, /tmp and /dev/shm are private and empty; of the rest the system's
programs and libraries, the agent's own program, `readable` and files that the command itself names
are there, read-only, without what is `hidden`. The host's processes are neither seen nor signalled,
there is no terminal to type into, and everything dies with the box. A filter denies kernel keys,
BPF, io_uring and sockets other than internet and unix; what an agent's own sandbox needs
(namespaces, mounts) stays allowed.

The network stays, because the model is there. So these are not covered: what the agent sends, and
it can send all that it can read; what it fetches, public copies of what is hidden among it;
services on loopback and in the local network, databases and development servers without a password
among them; abstract unix sockets of the host. Nor are: what it leaves in its configuration folder,
which the same agent reads outside the box; a link there that leads out of the folder, which leads
nowhere inside; names and times of the system; bugs of the kernel; for root, an agent's own sandbox
that wants a /proc of its own.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from autoresearch.box import seccomp
from autoresearch.box.copies import copies
from autoresearch.box.host import SYSTEM, is_below, outermost, real_path
from autoresearch.box.installed import fixed_path, needs
from autoresearch.box.sandbox import (
    SHARED_MEMORY,
    TMP,
    Tier,
    bind_words,
    blank,
    hidden_paths,
    is_seen,
    lowered,
    takes_sizes,
)
from autoresearch.box.stdlib import cache_folder
from autoresearch.errors import UserError
from autoresearch.text import clean_line

ALSO_SHOWN = (  # beside what a run sees: names, certificates, and what programs bring with them
    *("/usr/share", "/usr/local/share", "/usr/local/libexec", "/nix/store", "/gnu/store"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/protocols", "/etc/os-release", "/etc/mime.types", "/etc/shells", "/etc/ssl/cert.pem"),
    *("/etc/pki/ca-trust/extracted", "/etc/ca-certificates/extracted"),
)
CERTIFICATES = (  # variables that name a file or a folder of them
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"),
    *("CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
)
PRIVATE_BYTES = 2**30  # of the home, of /tmp, of /dev/shm: each


@dataclass(frozen=True, slots=True)
class AgentBox:
    """What an agent may see and write."""

    tree: Path  # its desk, and where it starts
    frozen: tuple[Path, ...] = ()  # files and folders in the tree that cannot be written
    writable: tuple[Path, ...] = ()  # its configuration folders, made if missing; its scratch
    readable: tuple[Path, ...] = ()  # what was granted, and what of its program nobody can find
    programs: tuple[Path, ...] = ()  # shown with all that they need, beside the agent's own
    hidden: tuple[Path, ...] = ()  # is masked wherever it would be seen, and its copies are


def enclose(argv: Sequence[str], box: AgentBox) -> list[str]:
    """The command in a box. UserError if its program, or something granted, is not there."""
    program = located(argv[0])
    for path in box.readable:
        if not path.exists():
            raise UserError(f"an agent cannot be shown {path}: it is not there")
    for path in box.writable:
        try:
            if not path.exists():
                path.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                f"the agent's folder {path} cannot be made ({error.strerror}): make it yourself"
            ) from error
    own = (box.tree, *box.writable)
    named = [each for each in named_files(argv[1:]) if not is_below(each, own)]
    programs = (program, *named, *(each for each in box.programs if each.is_file()))
    return [*bubblewrap(box, programs), str(program), *argv[1:]]


def located(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"the agent's program {clean_line(name)!r} is not there: install it, or put the folder "
            "that it lies in on your PATH"
        )
    return Path(os.path.abspath(found))  # noqa: PTH100  links must stay


def named_files(words: Iterable[str]) -> list[Path]:
    """Files that a command names by their whole path (`node /opt/agent.js`, `--env=/etc/x`)."""
    parts = [part for word in words for part in {word, word.partition("=")[2]}]
    short = [Path(part) for part in parts if part.startswith("/") and len(part) < 4096]
    return [path for path in short if os.path.isfile(path)]  # noqa: PTH113  never raises


def bubblewrap(box: AgentBox, programs: Sequence[Path]) -> list[str]:
    """The words before the command."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UserError("bubblewrap is not installed: install your system's package `bubblewrap`")
    links: dict[Path, str] = {}
    home = real_path(Path.home(), links)
    open_ones = [real_path(each, links) for each in outermost((*box.writable, box.tree))]
    wanted = [fixed_path(each, links, open_ones) for each in shown(box, programs, open_ones)]
    reals = {each for each in wanted if each is not None}
    above = {each for each in reals if is_below(Path(TMP), [each])}  # all was granted
    below = [*outermost(reals - above), *open_ones, *frozen(box)]
    size = ["--size", str(PRIVATE_BYTES)] if takes_sizes(bwrap) else []
    private = [TMP, SHARED_MEMORY, *([] if is_below(home, above) else [str(home)])]
    made = {link: to for link, to in links.items() if not is_below(link, {*above, *below})}
    masks = {each: blank(each) for each in masked(box, [*above, *below], reals - above, open_ones)}
    return [
        *through_filter(bwrap),
        *("--unshare-all", "--share-net", "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL", *root_words(bwrap)),
        *bind_words({each: each for each in above}, open_ones),
        *("--proc", "/proc", "--dev", "/dev", *settings_of_the_kernel()),
        *[word for each in dict.fromkeys(private) for word in (*size, "--tmpfs", each)],
        *bind_words({each: each for each in below}, open_ones),
        *[word for link, to in made.items() for word in ("--symlink", to, str(link))],
        *bind_words(masks),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(box.tree), "--"),
    ]


def shown(box: AgentBox, programs: Sequence[Path], open_ones: Container[Path]) -> list[Path]:
    """What is there to be read. `open_ones`: real folders, which the agent writes."""
    named = [os.environ[name] for name in CERTIFICATES if name in os.environ]
    wanted = [Path(each) for each in (*SYSTEM, *ALSO_SHOWN, *named)]
    wanted += [path for program in programs for path in needs(program, open_ones)]
    there = [each for each in wanted if os.path.exists(each)]  # noqa: PTH110  never raises
    return [*there, *box.readable]


def masked(
    box: AgentBox, mounts: Iterable[Path], searched: Iterable[Path], open_ones: Iterable[Path]
) -> Iterator[Path]:
    """What is hidden of all that is mounted, and its copies in the folders that are searched.

    Never a folder that holds one which the agent writes: what it has must stay.
    """
    needed = {each for path in open_ones for each in (path, *path.parents)}
    twins, seen = copies(box.hidden, outermost(searched)), {each: each for each in mounts}
    for path in hidden_paths((*box.hidden, *twins)):
        if path not in needed and is_seen(path, seen):
            yield path


def frozen(box: AgentBox) -> Iterator[Path]:
    """Never by a link: an agent that was here before may have laid one that leads out."""
    tree = box.tree.resolve()
    for path in box.frozen:
        inside = tree / path.absolute().relative_to(box.tree.absolute())
        if inside.exists() and inside.resolve() == inside:
            yield inside


def root_words(bwrap: str) -> list[str]:
    """Root's own sandboxes need one power in the box's user namespace, to map root into theirs.

    It is the power to mark a file as privileged, which root has over its own files without it.
    """
    words = ["--unshare-user", "--cap-add", "CAP_SETFCAP"]
    return words if os.getuid() == 0 and starts(bwrap, *words) else []


@cache
def starts(*words: str) -> bool:
    command = [*words, "--ro-bind", "/", "/", "true"]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def settings_of_the_kernel() -> list[str]:
    """For root, /proc holds files that change the machine; it must stay writable for namespaces."""
    if os.getuid():
        return []
    entries = [each for each in Path("/proc").iterdir() if not each.name.isdigit()]
    real = [each for each in entries if not each.is_symlink() and each.exists()]
    settings = [each for each in real if each.is_dir() or each.stat().st_mode & 0o222]
    return [word for each in sorted(settings) for word in ("--ro-bind", str(each), str(each))]


# The filter of system calls

OF_NAMESPACES = (  # held by the box's own namespaces; an agent's sandbox and debugger need them
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
    *("pidfd_getfd", "kcmp", "mount", "umount2", "pivot_root", "chroot", "open_tree"),
    *("open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("statmount", "listmount", "unshare", "setns", "sethostname", "setdomainname"),
)
FAMILIES = (1, 2, 10, 16)  # unix, IPv4, IPv6, netlink; no way to a hypervisor, no rare protocol


def filter_for_agents(machine: str) -> bytes:
    """As seccomp.filter_for, with network and namespaces."""
    refused = [name for name in seccomp.CALLS if name not in OF_NAMESPACES]
    typing = seccomp.refuse_values(seccomp.SECOND, seccomp.TERMINAL_INPUT)
    judged = {"ioctl": typing, "socket": families()}
    return seccomp.assembled(machine, dict.fromkeys(refused, seccomp.EPERM), judged)


def families() -> list[seccomp.Instruction]:
    allow = (seccomp.RETURN, 0, 0, seccomp.ALLOW)
    tests = [part for family in FAMILIES for part in seccomp.when(family, [allow])]
    return [(seccomp.LOAD, 0, 0, seccomp.FIRST), *tests, seccomp.refuse(seccomp.EPERM)]


def through_filter(bwrap: str) -> list[str]:
    """Bubblewrap with the filter's file open at descriptor 9; it applies it inside, at the end."""
    code = filter_for_agents(platform.machine())
    if not code:
        return [bwrap]
    file = cache_folder() / f"agents-{sha256(code).hexdigest()[:16]}.bpf"
    if not file.is_file() or file.read_bytes() != code:
        aside = file.with_name(f"{file.name}.{uuid4().hex}")
        aside.write_bytes(code)
        aside.replace(file)
    return ["/bin/sh", "-c", 'exec "$@" 9<"$0"', str(file), bwrap, "--seccomp", "9"]


# Whether it works here

PROBE = """\
if cat "$1/secret"; then echo "a file outside can be read" >&2; exit 1; fi
if echo >frozen; then echo "a frozen file can be written" >&2; exit 1; fi
echo >open
"""


def obstacle() -> str:
    """Why agents cannot be boxed on this machine, in one line; "" if they can. Really tries it."""
    if lowered() < Tier.BUBBLEWRAP:
        return f"AUTORESEARCH_TIER={int(lowered())} asks for no box of bubblewrap"
    return trial()


@cache
def trial() -> str:
    if platform.system() != "Linux":
        return "bubblewrap runs on Linux only"
    with tempfile.TemporaryDirectory() as outer, tempfile.TemporaryDirectory() as inner:
        secret, tree = Path(outer, "secret"), Path(inner)
        for each in (secret, tree / "frozen"):
            each.touch()
        box = AgentBox(tree, frozen=(tree / "frozen",))
        try:
            argv = enclose(["sh", "-c", PROBE, "sh", outer], box)
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        except (UserError, OSError, subprocess.SubprocessError) as error:
            return clean_line(str(error))
        if not done.returncode and (tree / "open").exists():
            return ""
    said = done.stderr.strip().rpartition("\n")[2]
    return clean_line(said) or f"the trial ended with exit code {done.returncode}"
