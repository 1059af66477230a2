"""A browser for all tests, and pages that complain of what no page may do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the live page needs its extra: pip install -e '.[watch]'")
pytest.importorskip("uvicorn", reason="the live page needs its extra: pip install -e '.[watch]'")

from autoresearch.testing.browser import CHROMIUM, FLAGS
from autoresearch.testing.page_server import PageServer
from tests.dashboard.parts import PATIENCE

Open = Callable[..., Any]


@pytest.fixture(scope="module")  # no longer: it keeps an event loop at work in this process
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("THE PAGE IS NOT TESTED: no chromium here; .ci/run installs it")
    reason = "THE PAGE IS NOT TESTED: no playwright here; pip install -e '.[dev]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        playwright.expect.set_options(timeout=PATIENCE * 1000)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """open_page(server, tag) -> a page in a browser of its own. At the end: no error in its
    console, and no request left its origin."""
    contexts, complaints, asked = [], list[str](), list[tuple[str, str]]()

    def open_(
        server: PageServer,
        tag: str = "",
        *,
        port: int = 0,
        may_lose: bool = False,
        **look: Any,
    ) -> Any:
        origin = f"http://127.0.0.1:{port or server.port}"
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | look)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: asked.append((origin, request.url)))

        def hear(message: Any) -> None:
            place = message.location["url"]
            is_loss = may_lose and "Failed to load resource" in message.text
            is_refusal = place.endswith("/api/orders") and "status of 400" in message.text
            if message.type in ("error", "warning") and not is_loss and not is_refusal:
                complaints.append(f"{message.text} {place}")

        page.on("console", hear)
        page.goto(f"{origin}/#token={server.token}/{tag}")
        page.wait_for_url(f"**/#/{tag}*")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith(f"{origin}/") for origin, url in asked), asked


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Where a test's lab will be."""
    return tmp_path / "lab"
