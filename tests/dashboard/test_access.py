"""Protects the page against everybody else: without the token, under another name or from another
origin nothing can be read and nothing can be done; no other server on this machine hears it."""

import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from autoresearch.dashboard.serve import IDLE_SECONDS
from autoresearch.testing.long_study import long_study
from autoresearch.testing.page_server import PageServer
from autoresearch.testing.stored import write_study
from autoresearch.testing.tiny import make_tiny_lab
from tests.dashboard.parts import PATIENCE, ask, events_of, eventually, give

pytestmark = pytest.mark.measured

EMPTY = ("/", "/static/main.js", f"/charts/{version('bokeh')}/bokeh.min.js")  # nothing of a study
TOLD = (
    *("/api/studies", "/api/study/night", "/api/study/night/feed"),
    *("/api/study/night/experiments/1", "/api/study/night/curves/1", "/nothing"),
)
PATHS = (*EMPTY, *TOLD)
ORDER = json.dumps({"tag": "night", "kind": "note", "data": {"text": "hello"}, "key": "k" * 16})
JSON = {"Content-Type": "application/json"}


def lab_with_a_study(folder: Path) -> Path:
    lab = make_tiny_lab(folder)
    write_study(lab / ".autoresearch" / "autoresearch.db", "night", long_study(3).history)
    return lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab_with_a_study(tmp_path_factory.mktemp("access") / "lab")


@pytest.fixture(scope="module")
def server(lab: Path) -> Iterator[PageServer]:
    with PageServer(lab) as server:
        yield server


@pytest.mark.parametrize("path", TOLD)
def test_nothing_is_told_without_the_token(server: PageServer, path: str) -> None:
    token, wrong = server.token, "x" * 43
    for said in ("", f"Bearer {wrong}", f"Basic {token}", token, "Bearer ", "Bearer \xe4"):
        answer = ask(server, path, headers={"Authorization": said}, is_known=False)
        assert answer.code == 401
        assert "val_bpb" not in answer.body
    for cookie in (f"token={token}", f"autoresearch={token}"):  # which any server here could hear
        assert ask(server, path, headers={"Cookie": cookie}, is_known=False).code == 401
    for query in (wrong, "", "%00", "%C3%A4"):
        assert ask(server, f"{path}?token={query}", is_known=False).code == 401


@pytest.mark.parametrize("path", EMPTY)
def test_the_empty_page_tells_nothing_and_sets_nothing(server: PageServer, path: str) -> None:
    said = ask(server, path, headers={"Accept-Encoding": "gzip"}, is_known=False)
    assert said.code == 200
    assert server.token not in said.body
    assert "val_bpb" not in said.body
    assert "set-cookie" not in said.headers


def test_no_order_is_taken_without_the_token(server: PageServer, lab: Path) -> None:
    assert give(server, "note", {"text": "hello"}, is_known=False).code == 401
    assert not events_of(lab)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "10.0.0.1", "a b", ""],
)
def test_another_name_for_this_machine_is_refused(server: PageServer, path: str, host: str) -> None:
    assert ask(server, path, headers={"Host": host}).code == 421


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:1", "[::1]:8265", "LOCALHOST"])
def test_a_forwarded_port_is_no_other_name(server: PageServer, host: str) -> None:
    assert ask(server, "/api/studies", headers={"Host": host}).code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    ],
    ids=str,
)
def test_only_the_page_itself_gives_orders(
    server: PageServer, lab: Path, headers: dict[str, str]
) -> None:
    assert ask(server, "/api/orders", "POST", ORDER, {**JSON, **headers}).code == 403
    assert not events_of(lab)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_of_another_page_can_send_is_no_order(
    server: PageServer, lab: Path, kind: str
) -> None:
    headers = {"Origin": server.origin, "Content-Type": kind}
    assert ask(server, "/api/orders", "POST", ORDER, headers).code == 415
    assert not events_of(lab)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_reads_nothing(server: PageServer, site: str) -> None:
    for path in PATHS[1:]:
        assert ask(server, path, headers={"Sec-Fetch-Site": site}).code == 403
    said = ask(server, "/", headers={"Sec-Fetch-Site": site})  # a link may lead here
    assert said.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [path for path in PATHS if not path.endswith("feed")])
@pytest.mark.parametrize("is_known", [True, False])
def test_every_answer_has_the_protecting_headers(
    server: PageServer, path: str, is_known: bool
) -> None:
    headers = ask(server, path, headers={"Accept-Encoding": "gzip"}, is_known=is_known).headers
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    is_public = path.startswith("/charts/")  # the library, as anybody has it
    assert headers["cache-control"].startswith("private" if is_public else "no-store")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_else_can_be_done(server: PageServer, method: str) -> None:
    assert ask(server, "/api/orders", method).code == 405


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "null", "[" * 50_000, '{"tag": "night"}', ORDER[:-1] + ', "more": 1}'),
        *(ORDER.replace('"note"', "7"), ORDER.replace('{"text": "hello"}', "[]")),
        *(ORDER.replace("k" * 16, "short"), ORDER.replace('"night"', '"../x"')),
        *(ORDER.replace("hello", "x" * 70_000), ORDER.replace('"note"', '"explode"')),
        *(ORDER.replace('"night"', '"other"'), ORDER.replace("hello", "")),
    ],
    ids=range(15),
)
def test_what_is_no_order_gets_a_line_and_changes_nothing(
    server: PageServer, lab: Path, body: str
) -> None:
    said = ask(server, "/api/orders", "POST", body, {**JSON, "Origin": server.origin})
    assert said.code in (400, 404)
    assert 0 < len(said.json()["error"]) < 300
    assert "Traceback" not in said.body
    assert not events_of(lab)


@pytest.mark.parametrize(
    "path",
    [
        *("/static/..%2f..%2fstore.py", "/static/%2e%2e/api.py", "/static/index.html/../../api.py"),
        *("/charts/1/bokeh.js", "/charts/1/..%2f..%2f__init__.py", "/static/.hidden.js"),
    ],
)
def test_only_the_files_of_the_page_are_served(server: PageServer, path: str) -> None:
    assert ask(server, path).code == 404


@pytest.mark.parametrize("path", ["other", "..", "a%2Fb", "night/experiments/999", "%00"])
def test_what_is_not_there_is_said_in_a_line(server: PageServer, path: str) -> None:
    said = ask(server, f"/api/study/{path}")
    assert said.code == 404
    assert "Traceback" not in said.body


def test_the_token_dies_with_its_server_and_is_in_no_file(tmp_path: Path) -> None:
    lab = lab_with_a_study(tmp_path / "lab")
    with PageServer(lab) as server:
        first = server.token
        assert len(first) >= 43
        files = [path for path in (lab / ".autoresearch").rglob("*") if path.is_file()]
        assert not [path for path in files if first.encode() in path.read_bytes()]
        server.restart()
        assert server.token != first
        said = {"Authorization": f"Bearer {first}"}
        assert ask(server, "/api/studies", headers=said, is_known=False).code == 401
        assert ask(server, "/api/studies").code == 200


def test_beyond_this_machine_only_when_asked_and_with_the_token(tmp_path: Path) -> None:
    lab = lab_with_a_study(tmp_path / "lab")
    with PageServer(lab, "--host", "0.0.0.0") as server:  # noqa: S104
        assert ask(server, "/api/studies", is_known=False).code == 401
        assert ask(server, "/api/studies", headers={"Host": "192.168.1.7:8265"}).code == 200
        assert ask(server, "/api/studies", headers={"Host": "evil.example"}).code == 421
        said = server.stop()
    assert "plain HTTP" in said


def test_who_connects_and_asks_nothing_shuts_nobody_out(server: PageServer) -> None:
    with contextlib.ExitStack() as lines:
        held = []
        for _ in range(300):
            line = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
            lines.enter_context(line)
            line.sendall(b"GET / HTTP/1.1\r\nHost: x")
            held.append(line)
        assert held[0].recv(1) == b"", "it is sent away"
        assert ask(server, "/api/studies").code == 200
        began = time.monotonic()
        assert held[-1].recv(1) == b"", "after a while, all are"
        assert time.monotonic() - began < 2 * IDLE_SECONDS


def test_a_port_that_is_taken_is_said_in_a_line(server: PageServer, lab: Path) -> None:
    words = [sys.executable, "-m", "autoresearch", "watch", "--port", str(server.port)]
    done = subprocess.run(words, cwd=lab, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "choose another port with --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_browser_is_opened_without_the_token_in_its_command(tmp_path: Path) -> None:
    lab, script = lab_with_a_study(tmp_path / "lab"), tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
    script.chmod(0o755)
    with PageServer(lab, "--open", environment={"BROWSER": f"{script} %s"}) as server:
        eventually((tmp_path / "opened").exists, "a browser is opened")
        opened = eventually((tmp_path / "opened").read_text).strip()
        assert server.token not in opened
        page = Path(opened.removeprefix("file://"))
        assert server.address in page.read_text()
        assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_without_its_extra_the_command_names_it(lab: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['autoresearch', 'watch'];"
        "from autoresearch.cli.main import main; main()"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=lab, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.search(r"needs uvicorn.*autoresearch\[watch\]", done.stderr)


def test_the_pages_files_are_in_the_package_and_ask_nothing_outside() -> None:
    folder = Path(sys.modules["autoresearch"].__file__ or "").parent / "dashboard" / "static"
    names = {path.name for path in folder.iterdir()}
    assert {"index.html", "main.js", "base.css", "icon.svg"} <= names
    for path in folder.iterdir():
        text = path.read_text()
        assert not re.search(
            r"https?://(?!www\.w3\.org/2000/svg)|(?<!:)//[a-z]", text.replace("// ", "")
        )
        words = (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
        )
        assert not [word for word in words if word in text], path
    assert os.environ.get("AUTORESEARCH_TOKEN") is None
