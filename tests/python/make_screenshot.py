"""Makes docs/pictures/page.png, the picture of the page in the README: `python tests/python/make_screenshot.py`.

A local network of its own transcribes a clip and judges the answer. `VIOLET_PAGE=checkout` shows the files of the
checkout instead of those that were compiled into the proxy.
"""

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from fixtures.browser import chromium, find_chromium, serve_checkout
from violet.corpus import packaged_clips
from violet.local_network import LocalNetwork

PICTURE = Path(__file__).parents[2] / "docs/pictures/page.png"
PATIENCE_MS = 300_000


def main() -> int:
    """Writes the picture."""
    program = find_chromium()
    if program is None:
        print("no Chromium here: apt-get install chromium, or name one in VIOLET_CHROMIUM", file=sys.stderr)
        return 1
    clip = next(clip for clip in packaged_clips() if clip.path.name == "jfk.flac")
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalNetwork(Path(directory)) as network,
        chromium(program) as browser,
    ):
        context = browser.new_context(viewport={"width": 1000, "height": 900}, service_workers="block")
        if os.environ.get("VIOLET_PAGE") == "checkout":
            serve_checkout(context, network.url)
        page = context.new_page()
        page.goto(network.url)
        page.locator("input[type=file]").set_input_files(clip.path)
        expect(page.locator(".badge.verified")).to_be_visible(timeout=PATIENCE_MS)
        page.locator(".word", has_text="country").first.click()
        expect(page.locator(".word.now")).to_be_visible()
        page.screenshot(path=PICTURE, full_page=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
