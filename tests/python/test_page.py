"""The page in a real browser, against a real local network that asks for API keys.

`VIOLET_PAGE=checkout` tests the files of the checkout instead of those that were compiled into the proxy.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import srt
import webvtt
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

import violet
from fixtures.browser import chromium, find_chromium, serve_checkout
from fixtures.waiting import until
from violet.corpus import packaged_clips
from violet.local_network import LocalNetwork

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

CLIPS = {clip.path.name: clip for clip in packaged_clips()}
JFK = CLIPS["jfk.flac"].path
PATIENCE_MS = 120_000
"""Longest wait for the network's work: this machine may be busy."""

MAX_TRANSFER_BYTES = 150_000
expect.set_options(timeout=PATIENCE_MS)
IS_CHECKOUT = os.environ.get("VIOLET_PAGE") == "checkout"


@dataclass(frozen=True)
class Site:
    """The network, and the key of one of its users."""

    network: LocalNetwork
    key: str
    keys: Path

    @property
    def url(self) -> str:
        return self.network.url


@pytest.fixture(scope="module")
def program() -> str:
    found = find_chromium()
    if found is None:
        reason = "NOT RUN: no Chromium here (apt-get install chromium, or name one in VIOLET_CHROMIUM)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def site(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    keys = directory / "keys.json"
    command = [sys.executable, "-m", "violet", "proxy", "new-key", "ann", "--api-keys", str(keys)]
    key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    network = LocalNetwork(directory, n_miners=2, n_validators=1, has_bad_miner=False)
    for member in network.members:
        arguments = list(member.arguments)
        if member.role == "proxy":
            arguments += ["--api-keys", str(keys)]
        if "--challenge.interval_s" in arguments:
            # What validators ask by themselves would only take the processor from what is tested.
            arguments[arguments.index("--challenge.interval_s") + 1] = "3600"
        member.arguments = arguments
    with network:
        yield Site(network, key, keys)


@pytest.fixture(scope="module")
def browser(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    microphone = tmp_path_factory.mktemp("microphone") / "speech.wav"
    violet.save(microphone, violet.load(JFK, 48_000)[0], 48_000)
    with chromium(program, microphone) as browser:
        yield browser


class Visit:
    """A visit to the page that may not cause errors, nor ask anybody but the proxy for anything."""

    def __init__(self, browser: Browser, site: Site, *, has_key: bool = True) -> None:
        self.site = site
        self.errors: list[str] = []
        self.refusals: list[str] = []
        """What the proxy is expected to refuse, by status."""
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 900}, accept_downloads=True, permissions=["microphone"],
            service_workers="block" if IS_CHECKOUT else "allow",
        )  # fmt: skip
        if IS_CHECKOUT:
            serve_checkout(self.context, site.url)
        if has_key:
            self.context.add_init_script(f"localStorage.setItem('violet.key', {json.dumps(site.key)})")
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _heard(self, message: ConsoleMessage) -> None:
        is_expected = any(f"status of {status} " in message.text for status in self.refusals)
        if message.type == "error" and not is_expected:
            self.errors.append(message.text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.site.url, "blob:", "data:")):
            self.errors.append(f"asked {url}")

    def go(self, name: str) -> None:
        self.page.goto(f"{self.site.url}/#/{name}")
        expect(self.page.locator("h1")).to_be_visible()

    def send(self, *paths: Path) -> Locator:
        self.page.locator("input[type=file]").set_input_files(paths)
        return self.page.locator(".card").first

    def download(self, button: Locator) -> bytes:
        with self.page.expect_download() as download:
            button.click()
        return Path(download.value.path()).read_bytes()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    visit = Visit(browser, site)
    yield visit
    visit.context.close()
    assert visit.errors == []


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough that a miner tells what it heard so far."""
    samples = np.concatenate([violet.load(clip.path, 16_000)[0] for clip in CLIPS.values()])
    path = tmp_path_factory.mktemp("clips") / "long talk.wav"
    violet.save(path, np.tile(samples, 3), 16_000)
    return path


def assert_accessible(page: Page, what: str) -> None:
    # Half way to its colour a word may be hard to read.
    settled = "document.getAnimations().every(one => !(one instanceof CSSTransition))"
    until(lambda: page.evaluate(settled), "the end of changes of colours")
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    told = [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:3]}" for one in serious]
    assert told == [], what


def await_painted(canvas: Locator, what: str) -> None:
    """Waits until a canvas has more than one colour."""
    script = """canvas => { const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size > 1; }"""
    until(lambda: bool(canvas.evaluate(script)), what)


def test_first_visit_is_small_strict_and_installable(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site, has_key=False)
    session = visit.context.new_cdp_session(visit.page)
    sizes: list[float] = []
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    answer = visit.page.goto(site.url)
    assert answer is not None
    visit.page.wait_for_load_state("networkidle")
    assert len(sizes) > 15, "the page and its modules"
    assert sum(sizes) < MAX_TRANSFER_BYTES, f"{sum(sizes)} bytes"
    policy = answer.header_value("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    problems = {problem["errorId"] for problem in session.send("Page.getInstallabilityErrors")["installabilityErrors"]}
    # A test's context is a private one, where nothing is installed.
    assert problems <= {"in-incognito"}
    assert session.send("Page.getAppManifest")["errors"] == []
    visit.context.close()
    assert visit.errors == []


def test_without_a_key_the_page_says_what_to_do_and_takes_one(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site, has_key=False)
    visit.refusals.append("401")
    visit.go("transcribe")
    card = visit.send(JFK)
    expect(card.locator(".state")).to_contain_text('Enter one under "API key" above.')
    visit.page.locator(".key summary").click()
    visit.page.get_by_label("Key of this proxy").fill(site.key)
    visit.page.get_by_role("button", name="Keep in this browser").click()
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.locator(".card .segment").first).to_be_visible()
    visit.context.close()
    assert visit.errors == []


def test_long_recording_is_followed_live_then_played_searched_edited_and_kept(visit: Visit, long_clip: Path) -> None:
    page = visit.page
    visit.go("transcribe")
    watch = """() => {
      window.seen = { partial: new Set(), state: new Set() };
      const note = (name) => seen[name].add(document.querySelector(`.card .${name}`)?.textContent ?? "");
      const changes = { subtree: true, childList: true, characterData: true };
      new MutationObserver(() => { note("partial"); note("state"); }).observe(document.body, changes);
    }"""
    page.evaluate(watch)
    card = visit.send(long_clip)
    expect(card.locator(".segment").first).to_be_visible()
    seen = page.evaluate("() => ({ partial: [...seen.partial], state: [...seen.state] })")
    assert any("country" in text for text in seen["partial"]), seen
    assert any(re.fullmatch(r"uploading \d+ %", text) for text in seen["state"]), seen
    assert any(text.startswith("a miner is working on it") for text in seen["state"]), seen

    # The word that is said is lit; a click on a word seeks there.
    word = card.locator(".word", has_text="country").first
    word.click()
    at = page.wait_for_function("() => document.querySelector('.card audio').currentTime || false").json_value()
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("before => document.querySelector('.card audio').currentTime > before", arg=at)
    lit = page.wait_for_function("() => document.querySelector('.word.now')?.textContent").json_value()
    words = card.locator(".word").all_text_contents()[:80]
    assert lit in words[words.index("country") - 1 :]
    page.get_by_role("button", name="Pause").click()
    await_painted(card.locator(".wave"), "the waveform")

    search = page.get_by_role("searchbox")
    search.fill("country")
    found = page.locator(".search .hint")
    expect(found).to_have_text(re.compile(r"1 of \d\d"))
    search.press("Enter")
    expect(found).to_have_text(re.compile(r"2 of \d\d"))

    line = card.get_by_role("textbox", name="text at").first
    line.fill("Edited --> by <hand> & kept.")
    text = visit.download(page.get_by_role("button", name="Download txt")).decode()
    assert text.startswith("Edited --> by <hand> & kept.\n")
    cues = list(
        srt.parse(visit.download(page.get_by_role("button", name="Download srt")).decode(), ignore_errors=False)
    )
    n_segments = card.locator(".segment").count()
    assert (len(cues), cues[0].content) == (n_segments, "Edited -> by <hand> & kept.")
    assert all(a.end <= b.start and a.start < a.end for a, b in pairwise(cues))
    vtt = webvtt.from_string(visit.download(page.get_by_role("button", name="Download vtt")).decode())
    assert (len(vtt.captions), vtt.captions[0].text) == (n_segments, "Edited -&gt; by &lt;hand&gt; &amp; kept.")
    document = json.loads(visit.download(page.get_by_role("button", name="Download json")))
    assert document["segments"][0]["text"] == "Edited --> by <hand> & kept."
    assert "words" not in document["segments"][0]
    assert document["segments"][1]["words"]

    # An edit stays when the page is opened again, and can be taken back.
    page.goto(f"{visit.site.url}/{card.locator('.link').get_attribute('href')}")
    page.reload()
    expect(page.locator(".segment p").first).to_have_text("Edited --> by <hand> & kept.")
    page.get_by_role("button", name="Undo all edits").click()
    expect(page.locator(".segment p").first).not_to_contain_text("Edited")


def test_recording_from_the_microphone_is_transcribed_with_speakers_and_verified(visit: Visit) -> None:
    page = visit.page
    visit.go("transcribe")
    page.get_by_label("Tell speakers apart").check()
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Stop 0:11")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    card = page.locator(".card").first
    expect(card.locator("h2")).to_have_text(re.compile(r"recording .*\.webm"))
    expect(card.locator(".lines")).to_contain_text("your country")
    expect(card.locator(".legend input").first).to_have_value("Speaker 1")
    card.locator(".legend input").first.fill("Kennedy")
    expect(card.locator(".who").first).to_have_text("Kennedy")
    assert visit.download(page.get_by_role("button", name="Download txt")).startswith(b"Kennedy: ")
    vtt = webvtt.from_string(visit.download(page.get_by_role("button", name="Download vtt")).decode())
    assert vtt.captions[0].voice == "Kennedy"
    # A browser's recording does not say how long it is: the slider knows all the same.
    slider = card.get_by_role("slider")
    until(lambda: 10 < float(slider.get_attribute("aria-valuemax") or 0) < 14, "the length of the recording")
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] / 2, "y": 10})
    until(lambda: 5 < float(slider.get_attribute("aria-valuenow") or 0) < 7, "a seek to the middle")

    expect(card.locator(".badge")).to_have_text(re.compile(r"verified by validators: \d+ of 100"))
    expect(card.locator(".states")).to_contain_text("verified")
    assert card.locator(".lane").count() == 3, "the task and its two miners"
    card.get_by_text("Miners and validators").click()
    row = card.locator(".details tbody tr").first
    score, given = row.locator("td").nth(3).inner_text(), row.locator("td").nth(4).inner_text()
    assert score == given, "of one validator the score is the verdict"
    assert_accessible(page, "a transcript")
    page.emulate_media(color_scheme="dark")
    assert_accessible(page, "a transcript in the dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "nothing is cut on a phone"


def test_what_is_no_audio_is_refused_in_words_while_other_files_go_on(visit: Visit, tmp_path: Path) -> None:
    visit.refusals.append("400")
    visit.go("transcribe")
    (tmp_path / "letter.txt").write_text("Dear all,\n")
    (tmp_path / "empty.wav").touch()
    give = """({ files, isPasted }) => { const data = new DataTransfer();
      for (const { name, bytes } of files) data.items.add(new File([new Uint8Array(bytes)], name));
      const how = { bubbles: true, cancelable: true };
      if (isPasted) document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, ...how }));
      else document.querySelector(".drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, ...how })); }"""

    def hand(*paths: Path, is_pasted: bool) -> None:
        files = [{"name": path.name, "bytes": list(path.read_bytes())} for path in paths]
        visit.page.evaluate(give, {"files": files, "isPasted": is_pasted})

    hand(CLIPS["cold.m4a"].path, is_pasted=True)
    hand(tmp_path / "letter.txt", tmp_path / "empty.wav", is_pasted=False)
    expect(visit.page.get_by_role("alert")).to_have_text("empty.wav is empty. Choose a file with sound in it.")
    card = visit.page.get_by_role("region", name="letter.txt")
    expect(card.locator(".state")).to_contain_text("audio")
    expect(card.get_by_role("button", name="Try again")).to_be_visible()
    expect(visit.page.get_by_role("region", name="cold.m4a").locator(".segment").first).to_be_visible()


def test_speech_plays_while_it_comes_and_is_kept(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.go("speak")
    page.get_by_role("textbox", name="Text").fill("The quick brown fox jumps over the lazy dog.")
    page.get_by_role("combobox", name="Voice").select_option("joe")
    page.get_by_label("Speed").fill("1.2")
    page.get_by_role("button", name="Speak").click()
    card = page.locator(".card").first
    page.wait_for_function("() => document.querySelector('.card audio')?.currentTime > 0.3")
    await_painted(card.locator(".wave"), "the waveform")
    speech = visit.download(card.get_by_text("Download mp3"))
    (tmp_path / "speech.mp3").write_bytes(speech)
    info = violet.info(tmp_path / "speech.mp3")
    assert info.codec == "mp3"
    assert info.duration_s is not None
    assert 1 < info.duration_s < 6
    page.get_by_role("combobox", name="Format").select_option("wav")
    page.get_by_role("button", name="hear this voice").click()
    expect(page.get_by_role("region", name="Voice: joe").get_by_text("Download wav")).to_be_visible()
    assert_accessible(page, "speech")


def test_analysis_has_numbers_and_pictures(visit: Visit) -> None:
    visit.go("analyse")
    card = visit.send(JFK)
    expect(card.locator(".tile", has_text="loudness")).to_contain_text(re.compile(r"-1\d\.\d+ LUFS"))
    expect(card.locator(".tile", has_text="duration")).to_contain_text("11 s")
    for picture in ("spectrogram", "Pitch classes", "Level by mel band", "Cepstrum"):
        await_painted(card.get_by_role("img", name=picture), picture)
    found = json.loads(visit.download(card.get_by_role("button", name="Download json")))
    assert found["loudness"]["integrated_lufs"] == pytest.approx(
        violet.analyze(JFK, ["loudness"]).loudness["integrated_lufs"], abs=1
    )
    assert_accessible(visit.page, "an analysis")


def test_dashboard_sorts_grows_and_knows_each_miner(visit: Visit) -> None:
    page = visit.page
    visit.go("network")
    table = page.get_by_role("table", name="Miners")
    expect(table.locator("tbody tr")).to_have_count(2)
    table.get_by_role("button", name="uid").click()
    uids = [int(text) for text in table.locator("tbody tr td:first-child").all_inner_texts()]
    assert uids == sorted(uids, reverse=True)
    expect(table.locator("th").first).to_have_attribute("aria-sort", "descending")
    heads = [text.split()[0] for text in table.locator("th").all_inner_texts()]
    assert {"quality", "p50", "p95", "availability", "weight", "emission", "answered"} <= set(heads), heads
    column = heads.index("answered")

    def answered() -> int:
        return sum(int(row.locator("td").nth(column).inner_text()) for row in table.locator("tbody tr").all())

    before = answered()
    violet.Client(visit.site.url, visit.site.key).submit(CLIPS["slow.wav"].path)
    until(lambda: answered() > before, "the answers of a new task")
    await_painted(page.get_by_role("img", name="answers a minute"), "a chart")
    expect(page.locator("main > p").nth(1)).to_contain_text("were verified")
    # These are told once a task has ended.
    for row in table.locator("tbody tr").all():
        # The space is one that does not break.
        expect(row.locator("td").nth(heads.index("availability"))).to_have_text(re.compile(r"\d+\.\d\s%"))
    validator = page.get_by_role("table", name="Validators").locator("tbody tr td")
    expect(validator.nth(3)).to_have_text(re.compile(r"[1-9]\d*"))
    expect(validator.nth(4)).to_have_text("100.0 %")
    assert_accessible(page, "the network")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "nothing is cut on a phone"
    page.set_viewport_size({"width": 1280, "height": 900})
    table.get_by_role("link").first.click()
    expect(page.locator("h1")).to_contain_text("Miner 5")
    expect(page.get_by_role("row", name="p95")).to_contain_text(re.compile(r"\d\ss"))
    assert_accessible(page, "a miner")


def test_history_is_that_of_the_key_and_without_one_that_of_the_browser(visit: Visit) -> None:
    page = visit.page
    task = violet.Client(visit.site.url, visit.site.key).submit(text="Sent from elsewhere.")
    visit.go("history")
    expect(page.get_by_role("link", name=task.id)).to_be_visible()
    visit.go("transcribe")
    visit.send(CLIPS["wizard.ogg"].path)
    expect(page.locator(".segment").first).to_be_visible()
    page.locator(".key summary").click()
    page.get_by_label("Key of this proxy").fill("")
    page.get_by_role("button", name="Keep in this browser").click()
    page.get_by_role("link", name="History").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("wizard.ogg")
    assert_accessible(page, "history")


def test_code_on_the_screen_does_what_the_page_did(visit: Visit, tmp_path: Path) -> None:
    visit.go("transcribe")
    card = visit.send(JFK)
    expect(card.locator(".segment").first).to_be_visible()
    card.get_by_text("This request in code").click()
    curl, python, openai = card.locator(".details pre").all_inner_texts()
    environment = os.environ | {"VIOLET_API_KEY": visit.site.key}
    where = JFK.parent
    reply = subprocess.run(curl, shell=True, cwd=where, env=environment, check=True, capture_output=True, text=True)
    assert json.loads(reply.stdout)["options"]["word_timestamps"] is True
    for code in (python, openai):
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, cwd=where, env=environment, check=True, capture_output=True, text=True)
        assert "your country" in run.stdout


def test_keyboard_alone_is_enough(visit: Visit) -> None:
    page = visit.page
    visit.go("transcribe")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    choose = page.get_by_role("button", name="Choose files")
    for _ in range(12):
        if choose.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        # The page answered: the wish to be told of choosers has reached it. Keys go another way, and may be faster.
        expect(choose).to_be_focused()
        page.keyboard.press("Enter")
    chooser.value.set_files(JFK)
    expect(page.locator(".segment").first).to_be_visible()
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    until(lambda: float(slider.get_attribute("aria-valuenow") or 0) == 2, "two seconds on")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('audio').currentTime > 2.2")
    page.keyboard.press("Space")
    line = page.get_by_role("textbox", name="text at").last
    line.focus()
    # How many lines there are is the miner's: the last word of the last is late in any case.
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+Enter")
    until(lambda: float(slider.get_attribute("aria-valuenow") or 0) > 5, "where the caret is")


@pytest.mark.skipif(IS_CHECKOUT, reason="the worker keeps what the proxy serves")
def test_shell_is_there_without_a_network(visit: Visit) -> None:
    visit.go("transcribe")
    visit.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    visit.context.set_offline(True)
    visit.page.reload()
    expect(visit.page.locator("#status")).to_have_text("offline")
    visit.page.get_by_role("link", name="Speak").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("cannot be reached")
    visit.context.set_offline(False)
    # What failed then is no error of the page.
    visit.errors = [error for error in visit.errors if "ERR_INTERNET_DISCONNECTED" not in error]
