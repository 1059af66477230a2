"""Protects the download of the hub's corpora: retried, checked, refused in plain words."""

import hashlib
import io
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import loads
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import Lab, prose, summary

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHARDS = ("shard_00000.parquet", "shard_00001.parquet", "shard_06542.parquet")
TROUBLE: dict[str, tuple[int, dict[str, str]]] = {  # status, headers; 0: no answer
    "HEAD hangs up": (0, {}),
    "HEAD 500": (500, {}),
    "HEAD 404": (404, {"X_Error_Code": "RepoNotFound"}),
    "HEAD gives a login page": (200, {}),
    "GET 500": (500, {}),
    "GET 429": (429, {"Retry_After": "20"}),
}
# A retry waits seconds; these tests must not. Only the child's clock is hurried.
HURRIED = """
import runpy, sys, time
time.sleep = lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.01))
sys.argv[0] = "prepare.py"
runpy.run_path("prepare.py", run_name="__main__")
"""


def shard(texts: list[str]) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), target, row_group_size=16)
    return target.getvalue()


class Hub(ThreadingHTTPServer):
    """The part of the Hugging Face hub that a download needs, and the ways in which it fails."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.files: dict[str, bytes] = {}
        self.promised: dict[str, str] = {}
        for number, name in enumerate(SHARDS):
            self.put(name, [prose(3000, seed=100 * number + n) for n in range(40)])
        self.failing: Counter[str] = Counter()  # how many requests to fail, by the kind of failure
        self.requests: list[tuple[str, str]] = []  # (method and path, token)

    def put(self, name: str, texts: list[str]) -> None:
        self.files[name] = shard(texts)
        self.promised[name] = hashlib.sha256(self.files[name]).hexdigest()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fails(self, kind: str) -> bool:
        self.failing[kind] -= 1
        return self.failing[kind] >= 0

    def downloads(self, name: str) -> int:
        return sum(request.startswith("GET") and name in request for request, _ in self.requests)


class Page(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def note(self) -> None:
        token = self.headers.get("Authorization", "")
        if "/datasets/" in self.path:  # the client also asks for things that are not the corpus
            self.server.requests.append((f"{self.command} {self.path}", token))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.note()
        for kind, (status, headers) in TROUBLE.items():
            if kind.startswith(self.command) and self.server.fails(kind):
                self.close_connection = not status
                return self.answer(status, b"<html></html>", **headers) if status else None
        name = self.path.rpartition("/")[2]
        if "/resolve/" not in self.path or name not in self.server.files:
            return self.answer(404, X_Error_Code="EntryNotFound")
        content, digest = self.server.files[name], self.server.promised[name]
        facts = {"ETag": f'"{digest}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        if self.command == "HEAD":
            return self.answer(200, content, **facts)
        start = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        part = content[start:]
        if start:
            facts["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.server.fails("cut a file"):
            facts["Content_Length"] = str(len(part))
            self.answer(206 if start else 200, part[: len(part) // 2], **facts)
            self.close_connection = True
            return None
        return self.answer(206 if start else 200, part, **facts)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(lab: Lab, hub: Hub) -> dict[str, object]:
    quiet = {"HF_HUB_DISABLE_XET": 1, "HF_HUB_DISABLE_PROGRESS_BARS": 1}
    return {"HF_ENDPOINT": hub.url, "HF_HOME": lab.folder / "hf", "SHARDS": 2, **quiet}


def download(lab: Lab, hub: Hub, **more: object) -> tuple[Path, str]:
    """Prepares climbmix from the hub, which must succeed: (its folder, what it said)."""
    given = settings(lab, hub) | more
    done = lab.run("-c", HURRIED, "--source", "climbmix", **given)
    assert done.returncode == 0, done.stderr
    return Path(summary(done.stdout)["folder"]), done.stderr


def refusal(lab: Lab, hub: Hub, **more: object) -> str:
    """The last line of a preparation that must fail."""
    done = lab.run("-c", HURRIED, "--source", "climbmix", **settings(lab, hub) | more)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    assert not list(lab.cache.glob("*/manifest.json"))
    return done.stderr.splitlines()[-1]


def test_shards_and_the_pinned_validation_shard_are_downloaded_once(lab, hub, prepare) -> None:
    folder, _ = download(lab, hub, HF_TOKEN="hf_secret")  # noqa: S106
    assert {name: hub.downloads(name) for name in SHARDS} == dict.fromkeys(SHARDS, 1)
    corpus = prepare.load_corpus(folder / "manifest.json")
    assert corpus.seq_len == prepare.SHAPES["large"].seq_len
    held_out = sum(corpus.held_out[name]["bytes"] for name in prepare.HELD_OUT)
    assert 0.85 < held_out / sum(len(prose(3000, seed=200 + n)) for n in range(40)) <= 1
    counted = corpus.token_bytes()
    trained = sum(len(prose(3000, seed=100 * s + n)) for s in range(2) for n in range(40))
    assert counted[corpus.tokens("train.bin")].sum() == trained
    assert {sent for _, sent in hub.requests} == {"Bearer hf_secret"}
    assert corpus.commit == COMMIT
    paths = [request.split()[1] for request, _ in hub.requests]
    assert not [path for path in paths[2:] if COMMIT not in path]  # after the first file's
    before = len(hub.requests)
    assert download(lab, hub)[0] == folder
    assert len(hub.requests) == before  # sound: the hub is not even asked


def test_what_was_downloaded_is_withheld(lab: Lab, hub: Hub) -> None:
    result = lab.folder / "result.json"
    download(lab, hub, RESULT=result)
    hidden = {Path(path) for path in loads(result.read_text())["withheld"]}
    shards = {path.resolve() for path in (lab.folder / "hf").rglob("snapshots/*/*.parquet")}
    assert len(shards) == len(SHARDS)
    assert shards <= hidden


def test_training_text_that_is_like_held_out_text_is_dropped(lab, hub, prepare) -> None:
    texts = [prose(3000, seed=n) for n in range(200, 240)]  # the validation shard's, in disguise
    alike = [f"{prose(500, seed=n)}{text[:-20]}" for n, text in enumerate(texts)]
    fresh = [prose(3000, seed=900 + n) for n in range(40)]
    hub.put(SHARDS[0], alike + fresh)
    folder, _ = download(lab, hub, SHARDS=1)
    corpus = prepare.load_corpus(folder / "manifest.json")
    trained = corpus.token_bytes()[corpus.tokens("train.bin")].sum()
    left = len(texts) - sum(corpus.held_out[name]["documents"] for name in prepare.HELD_OUT)
    assert sum(map(len, fresh)) <= trained <= sum(map(len, fresh)) + left * 3700


@pytest.mark.parametrize("kind", ["HEAD 500", "HEAD hangs up", "GET 500", "GET 429", "cut a file"])
def test_a_passing_failure_is_retried(lab, hub, prepare, kind: str) -> None:
    hub.failing[kind] = 2
    folder, _ = download(lab, hub)
    prepare.load_corpus(folder / "manifest.json").verify(*prepare.FILES)
    assert hub.failing[kind] < 0  # it did fail twice, and then was asked again


def test_a_lasting_failure_ends_in_one_line(lab: Lab, hub: Hub) -> None:
    hub.failing["HEAD 500"] = 1000
    line = refusal(lab, hub)
    assert line.startswith("prepare.py: karpathy/climbmix-400b-shuffle/shard_00000.parquet: ")
    assert "500" in line


def test_a_hub_that_is_not_there_ends_in_one_line(lab: Lab, hub: Hub) -> None:
    hub.server_close()
    assert "climbmix" in refusal(lab, hub)


def test_a_missing_dataset_ends_in_one_line_at_once(lab: Lab, hub: Hub) -> None:
    hub.failing["HEAD 404"] = 1000
    line = refusal(lab, hub)
    assert "404" in line
    assert "Repository Not Found" in line
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("HEAD gives a login page", {}, "not seem to be served by a Hugging Face Hub"),
        ("", {"HF_HUB_OFFLINE": 1}, "offline mode is enabled"),
        ("", {"HF_HOME": "/proc/nowhere"}, "/proc/nowhere"),
    ],
)
def test_what_is_hopeless_is_not_retried(lab: Lab, hub: Hub, kind: str, more, said: str) -> None:
    hub.failing[kind] = 1000
    assert said in refusal(lab, hub, **more)
    assert len(hub.requests) <= 1


def test_downloaded_shards_are_prepared_offline(lab: Lab, hub: Hub) -> None:
    folder, _ = download(lab, hub)
    (folder / "manifest.json").unlink()
    hub.server_close()
    assert download(lab, hub, HF_HUB_OFFLINE=1)[0] == folder


def test_a_missing_shard_is_named(lab: Lab, hub: Hub) -> None:
    del hub.files["shard_00001.parquet"]
    line = refusal(lab, hub)
    assert "shard_00001.parquet: 404" in line


def test_a_wrong_checksum_is_refused(lab: Lab, hub: Hub) -> None:
    content = bytearray(hub.files[SHARDS[1]])
    content[len(content) // 2] ^= 1
    hub.files[SHARDS[1]] = bytes(content)
    assert f"{SHARDS[1]}: its SHA-256 is not what the hub promises" in refusal(lab, hub)
    assert hub.downloads(SHARDS[1]) == 2  # fetched once more before giving up


def test_a_damaged_copy_in_the_hubs_cache_is_fetched_again(lab: Lab, hub: Hub, prepare) -> None:
    folder, _ = download(lab, hub)
    digest = hub.promised[SHARDS[0]]
    (copy,) = (lab.folder / "hf").rglob(f"blobs/{digest}")
    sound = copy.read_bytes()
    copy.write_bytes(sound[:-1] + b"X")
    (folder / "manifest.json").unlink()
    download(lab, hub)
    assert hub.downloads(SHARDS[0]) == 2
    (snapshot,) = (lab.folder / "hf").rglob(f"snapshots/*/{SHARDS[0]}")
    assert snapshot.read_bytes() == sound
