"""The list of system calls that no boxed process may make, as a seccomp filter.

    filter_for("x86_64", alone=True)  ->  bytes of a BPF program, or b"" for a machine not known

Denied with EPERM: tracing and reading other processes, mounts and namespaces, sockets other than
pairs, kernel keys, modules, BPF, performance counters, io_uring (which would make calls past any
filter), handles that open files past their folders, clocks and other settings of the machine.

What it does not cover: it sees numbers, never what a pointer points to, so no path is judged
here. Ordinary files are the business of mounts (tier 3) or Landlock (tier 2).
"""

import struct
from collections.abc import Mapping

EPERM, ENOSYS = 1, 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, MASK, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
FIRST, SECOND, THIRD = 16, 24, 32  # of the arguments' low words
X32 = 0x40000000  # the third set of calls of x86_64: none of it is needed
AF_UNIX, SOCK_STREAM, SOCK_SEQPACKET, SOCK_TYPES = 1, 1, 5, 0xF
NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* bit that clone() takes
TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the terminal

Numbers = dict[str, tuple[int | None, int | None]]  # of calls, on x86_64 and on aarch64
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMN = {"x86_64": 0, "aarch64": 1}
CALLS: Numbers = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # mounts, namespaces, handles
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "open_tree_attr": (467, 467),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "lookup_dcookie": (212, 18),
    "syslog": (103, 116),
    # memory that no cap counts
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # the machine
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
}
ALONE: Numbers = {  # what namespaces and mounts keep private in tier 3
    "truncate": (76, 45),  # by path: Landlock knows of it only from Linux 6.2 on
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
IGNORED: Numbers = {  # modes, owners and times of any file
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
PAGES: Numbers = {  # which pages of a file are in memory: a box
    "mincore": (27, 232),  # that is gone may have written with them what a later one reads
    "cachestat": (451, 451),
    "preadv2": (327, 286),  # libraries that need it do without it
}
EVICTING: Numbers = {"fadvise64": (221, 223)}  # done in words alone
PUT_OUT = (20, 21)  # madvise: MADV_COLD, MADV_PAGEOUT
SPECIAL: Numbers = {
    "madvise": (28, 233),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
}
EVERY = {**CALLS, **ALONE, **IGNORED, **PAGES, **EVICTING, **SPECIAL}
Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


def filter_for(machine: str, *, alone: bool) -> bytes:
    """The filter for one kind of machine; b"" where the numbers are not known.

    `alone`: no namespaces and mounts stand behind it. Then unix sockets and System V memory are
    denied too, and changes of modes, owners and times, which Landlock does not judge, are taken
    without an error and not made: copying files, linkers and compilers go on.
    """
    refused = dict.fromkeys(CALLS | ALONE if alone else CALLS, EPERM)
    refused |= dict.fromkeys(IGNORED if alone else (), 0)
    refused |= {**dict.fromkeys(EVICTING, 0), **dict.fromkeys(PAGES, ENOSYS)}
    judged = {
        # The flags of clone3 lie behind a pointer: without it, libraries fall back to clone.
        "clone3": [refuse(ENOSYS)],
        "clone": refuse_bits(FIRST, NEW_NAMESPACES),
        "ioctl": refuse_values(SECOND, TERMINAL_INPUT),
        "madvise": refuse_values(THIRD, PUT_OUT, 0),
        "socket": sockets(alone),
        "socketpair": pairs(),
    }
    return assembled(machine, refused, judged)


def assembled(
    machine: str, refused: Mapping[str, int], judged: Mapping[str, list[Instruction]]
) -> bytes:
    """A filter by the names of calls: the error of each that is refused, and what judges others;
    all else is allowed. b"" where the numbers are not known."""
    if machine not in AUDIT or struct.calcsize("P") != 8:
        return b""
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT[machine]),
        refuse(EPERM),
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        program += [(JUMP_AT_LEAST, 0, 1, X32), refuse(EPERM)]
    for name, then in ({k: [refuse(v)] for k, v in refused.items()} | dict(judged)).items():
        number = EVERY[name][COLUMN[machine]]
        if number is not None:
            program += when(number, then)
    program.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("<HBBI", *each) for each in program)


def refuse(error: int) -> Instruction:
    """Not done; the caller is told this error, or with 0 that it was done."""
    return (RETURN, 0, 0, ERRNO | error)


def when(number: int, then: list[Instruction]) -> list[Instruction]:
    """Run `then`, which must return, for this call; go past it for any other."""
    return [(JUMP_EQUAL, 0, len(then), number), *then]


def refuse_bits(argument: int, bits: int) -> list[Instruction]:
    allow: Instruction = (RETURN, 0, 0, ALLOW)
    return [(LOAD, 0, 0, argument), (JUMP_ANY_BIT, 0, 1, bits), refuse(EPERM), allow]


def refuse_values(argument: int, values: tuple[int, ...], error: int = EPERM) -> list[Instruction]:
    tests = [part for value in values for part in when(value, [refuse(error)])]
    return [(LOAD, 0, 0, argument), *tests, (RETURN, 0, 0, ALLOW)]


def sockets(alone: bool) -> list[Instruction]:
    """No family but unix; and not that one where a path could lead to a socket of the host."""
    if alone:
        return [refuse(EPERM)]
    return [
        (LOAD, 0, 0, FIRST),
        (JUMP_EQUAL, 0, 1, AF_UNIX),
        (RETURN, 0, 0, ALLOW),
        refuse(EPERM),
    ]


def pairs() -> list[Instruction]:
    """Unix pairs that stay what they are: one of datagrams can be sent to any other address."""
    return [
        (LOAD, 0, 0, FIRST),
        (JUMP_EQUAL, 1, 0, AF_UNIX),
        refuse(EPERM),
        (LOAD, 0, 0, SECOND),
        (MASK, 0, 0, SOCK_TYPES),
        (JUMP_EQUAL, 1, 0, SOCK_STREAM),
        (JUMP_EQUAL, 0, 1, SOCK_SEQPACKET),
        (RETURN, 0, 0, ALLOW),
        refuse(EPERM),
    ]
