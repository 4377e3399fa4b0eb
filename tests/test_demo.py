"""The page of `sv demo` in a real browser with a fake microphone, and its answers without one.

The browser test needs Gradio (the extra [demo]), Playwright for Python, and Chromium; it skips with
the reason where one is missing. SV_SCREENSHOTS=DIR keeps its pictures, SV_DEMO_MODEL and
SV_DEMO_CLIPS (a folder of WAV) take a trained model and real clips instead of random ones.
"""

import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from sv.audio.files import write_audio
from sv.bin import demo
from sv.errors import InputError
from sv.inference.model_dir import CosineCalibration
from sv.inference.speaker_model import SpeakerModel
from sv.report.demo import Answers, sureness, verdict

pytestmark = pytest.mark.whole

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


def clip(path, seed):
    rng = np.random.default_rng(seed)
    times = np.arange(40_000) / 16000
    tone = sum(np.sin(2 * np.pi * f * times) for f in rng.uniform(100, 6000, 5))
    noise = 0.02 * rng.standard_normal(len(times))
    write_audio(path, (0.05 * tone + noise).astype(np.float32), 16000)
    return str(path)


@pytest.fixture
def model(tmp_path, write_model):
    model = SpeakerModel.load(write_model(tmp_path / "final.pt"))
    model.calibration = CosineCalibration(60, -57)
    return model


def test_the_answers_of_the_buttons(model, tmp_path):
    answers = Answers(model, str(tmp_path / "g.safetensors"), 0.5)
    first, second = clip(tmp_path / "a.wav", 1), clip(tmp_path / "b.wav", 2)
    words, *pictures = answers.compare(first, first, 0.5)
    assert words.startswith("## same speaker") and "Sure" in words
    assert all(len(one.axes) == 2 for one in pictures)
    words, seen, missing = answers.compare(first, None, 0.5)
    assert words == "⚠ second clip: record or drop audio first"
    assert seen is not None and missing is None
    write_audio(
        tmp_path / "hiss.wav", 1e-4 * np.random.default_rng(0).standard_normal(32_000), 16000
    )
    words, *_ = answers.compare(first, str(tmp_path / "hiss.wav"), 0.5)
    assert words.startswith("⚠ second clip: too little speech to decide: 0.0 s found")
    assert "no speakers yet" in answers.identify(first, 0.5)[0]
    assert "cannot be the name" in answers.enrol("", first)
    assert "| anna | 1 | 2.5 s |" in answers.enrol("anna", first)
    answers.enrol("ben", second)
    words, shares = answers.identify(first, 0.5)
    assert words.startswith("## anna") and sum(shares.values()) == pytest.approx(1)
    model.calibration = None
    assert "no calibration" in answers.compare(first, second, 0.5)[0]
    assert "nearest: anna" in answers.identify(first, 0.5)[0]


def test_how_sure_in_words():
    assert sureness(0.99).startswith("Sure: one of 100 such answers is wrong")
    assert sureness(0.8).startswith("Rather sure: 20 of 100 such answers are wrong")
    assert sureness(1.0).startswith("Sure: fewer than one of 1,000")
    assert sureness(0.6).startswith("Unsure: 40")
    assert "two speakers as from one" in verdict(0.1, CosineCalibration(10, -4), 0.5)


def test_a_taken_port_is_said(tmp_path, write_model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken"):
            demo.main(["--model", str(write_model(tmp_path / "m.pt")), "--port", str(port)])


@pytest.fixture
def served(tmp_path, write_model):
    """The address of a page that a program of its own serves, and two clips."""
    pytest.importorskip("gradio", reason="no gradio here: pip install 'sv-toolkit[demo]'")
    folder = Path(os.environ.get("SV_DEMO_CLIPS", tmp_path))
    if folder == tmp_path:
        clip(tmp_path / "a.wav", 1)
        clip(tmp_path / "b.wav", 2)
    model = os.environ.get("SV_DEMO_MODEL") or write_model(tmp_path / "final.pt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sv.bin.demo", "--model", str(model), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert f"http://127.0.0.1:{port}/" in server.stdout.readline()
        yield f"http://127.0.0.1:{port}/", sorted(folder.glob("*.wav"))[:2]
    finally:
        server.terminate()
        server.wait(30)


def test_the_page_in_a_browser(served):
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright for Python here")
    if CHROMIUM is None:
        pytest.skip("no chromium here")
    address, clips = served
    with pytest.raises(urllib.error.HTTPError, match="400"):  # another name of this machine
        urllib.request.urlopen(urllib.request.Request(address, headers={"Host": "evil.test"}))
    with playwright.sync_playwright() as browsers:
        microphone = f"--use-file-for-fake-audio-capture={clips[0]}"
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, microphone])
        page = browser.new_page(viewport={"width": 1100, "height": 1050})
        page.set_default_timeout(60_000)
        elsewhere = []
        page.on("request", lambda request: elsewhere.append(request.url))
        page.goto(address)

        def record(number):
            page.get_by_role("button", name="Record", exact=True).nth(number).click()
            page.wait_for_timeout(3000)
            page.get_by_role("button", name="Stop", exact=True).locator("visible=true").click()
            page.wait_for_timeout(1500)

        def drop(path, number=0):
            page.get_by_label("Upload file").locator("visible=true").nth(number).click()
            page.locator("input[type=file]").first.set_input_files(path)
            page.wait_for_timeout(1500)

        def button(name):
            page.get_by_role("button", name=name, exact=True).locator("visible=true").click()

        def tab(name):
            page.get_by_role("tab", name=name, exact=True).locator("visible=true").click()
            page.wait_for_timeout(500)

        def keep(name):
            if os.environ.get("SV_SCREENSHOTS"):
                page.wait_for_timeout(2000)
                page.screenshot(path=f"{os.environ['SV_SCREENSHOTS']}/{name}.png")

        record(0)
        drop(clips[1], 1)
        button("Compare")
        page.wait_for_selector("#compared h2")
        assert "Speech:" in page.locator("#compared").inner_text()
        page.wait_for_function("document.querySelectorAll('img').length >= 2")
        keep("demo_compare")
        tab("Enrol")
        page.get_by_label("name").locator("visible=true").fill("anna")
        drop(clips[0])
        button("Enrol")
        page.wait_for_selector("#enrolled table")
        keep("demo_enrol")
        tab("Identify")
        drop(clips[0])
        button("Identify")
        page.wait_for_selector("#identified")
        page.wait_for_function("document.querySelector('#identified').innerText.length > 3")
        keep("demo_identify")
        browser.close()
    assert [url for url in elsewhere if not url.startswith((address, "data:", "blob:"))] == []
