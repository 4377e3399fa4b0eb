"""The page of `sv demo`: compare two clips, enrol speakers, and ask who speaks.

Gradio draws the page. The server is a plain ASGI application, and each answer carries a policy that
forbids the browser to load anything from another host: no fonts, scripts or statistics come from,
or go to, the network. Only requests to this machine are answered.
"""

import math
import os
from typing import TYPE_CHECKING, Any

from sv.errors import InputError
from sv.inference.clip import Clip, look_at
from sv.inference.decision import probability
from sv.inference.gallery import Gallery
from sv.inference.speaker_model import SpeakerModel, cosine
from sv.scoring.score_norm import as_norm_pair, normalised_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOSTS = ["127.0.0.1", "localhost"]
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data: blob:"
)
SURE, UNSURE = 0.95, 0.75
"""Probabilities of the answer from which on it is called sure, and below which unsure."""
MOST = 0.999
"""No calibration is trusted beyond this."""


def application(model: SpeakerModel, gallery_path: str, needed: float = 0.5):
    """Return the page as an ASGI application.

    Raises:
        InputError: Gradio is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio
        from fastapi import FastAPI
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise InputError(
            f"the page needs the package {error.name}: pip install 'sv-toolkit[demo]'"
        ) from None
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)

    @app.middleware("http")
    async def _with_policy(request, call_next):
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    page = _page(gradio, Answers(model, gallery_path, needed))
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return gradio.mount_gradio_app(app, page, path="/", theme=theme, footer_links=[])


def _page(gradio: Any, answers: "Answers") -> Any:
    def clip(label: str):
        return gradio.Audio(
            sources=["microphone", "upload"],
            type="filepath",
            label=label,
            buttons=["download"],  # not "share", which sends the clip away
        )

    def chance(label: str):
        return gradio.Slider(0.01, 0.99, value=0.5, step=0.01, label=label)

    with gradio.Blocks(title="Speaker verification", analytics_enabled=False) as page:
        gradio.Markdown(f"# Who speaks?\n{answers.about()}")
        with gradio.Tab("Compare"):
            with gradio.Row():
                first, second = clip("first clip"), clip("second clip")
            prior = chance("probability of the same speaker, before anything is heard")
            button = gradio.Button("Compare", variant="primary")
            said = gradio.Markdown(elem_id="compared")
            with gradio.Row():
                pictures = [gradio.Plot(show_label=False), gradio.Plot(show_label=False)]
            button.click(answers.compare, [first, second, prior], [said, *pictures])
        with gradio.Tab("Enrol"):
            name, recording = gradio.Textbox(label="name"), clip("a clip of this speaker")
            button = gradio.Button("Enrol", variant="primary")
            said = gradio.Markdown(elem_id="enrolled")
            button.click(answers.enrol, [name, recording], said)
        with gradio.Tab("Identify"):
            unknown = clip("a clip of anybody")
            prior = chance("probability that the speaker is enrolled, before anything is heard")
            button = gradio.Button("Identify", variant="primary")
            said, chances = gradio.Markdown(elem_id="identified"), gradio.Label(show_label=False)
            button.click(answers.identify, [unknown, prior], [said, chances])
    return page


class Answers:
    """What the buttons of the page do. Bad input becomes a sentence on the page."""

    def __init__(self, model: SpeakerModel, gallery_path: str, needed: float):
        self.model, self.path, self.needed = model, gallery_path, needed

    def about(self) -> str:
        """Return a sentence about the model."""
        calibrated = "" if self.model.calibration else " without calibration: no probabilities"
        return f"Model {self.model.identity[:12]}{calibrated}. All stays on this machine."

    def compare(self, first: str | None, second: str | None, prior: float):
        """Return the answer in words, and a picture of each clip."""
        clips, pictures, words = [], [], []
        for path, label in ((first, "first"), (second, "second")):
            try:
                clips.append(self._clip(path, f"{label} clip"))
                pictures.append(picture(clips[-1]))
            except InputError as error:
                words.append(f"⚠ {error}")
                pictures.append(None)
        if len(clips) == 2:
            pair = [clip.vector for clip in clips]
            score = cosine(*pair)
            if self.model.cohort is not None:
                score = as_norm_pair(score, pair, *self.model.cohort)
            words.append(verdict(score, self.model.calibration, prior))
            words.append(
                f"Speech: {clips[0].seconds:.1f} s and {clips[1].seconds:.1f} s. Short clips give "
                "uncertain answers."
            )
        return "\n\n".join(words), *pictures

    def enrol(self, name: str, path: str | None) -> str:
        """Add the clip to the gallery; return who is known now."""
        try:
            clip = self._clip(path, "the clip")
            gallery = Gallery.open(self.path, self.model)
            gallery.enrol(name or "", clip.vector, clip.seconds)
        except InputError as error:
            return f"⚠ {error}"
        rows = (
            f"| {one} | {facts.recordings} | {facts.seconds:.1f} s |"
            for one, facts in gallery.speakers.items()
        )
        return "\n".join(["| speaker | clips | speech |", "|---|---|---|", *rows])

    def identify(self, path: str | None, prior: float):
        """Return the answer in words, and the probability of each candidate."""
        try:
            gallery = Gallery.open(self.path, self.model)
            gallery.require_speakers()
            clip = self._clip(path, "the clip")
        except InputError as error:
            return f"⚠ {error}", None
        found = gallery.identify(
            clip.vector, self.model.calibration, prior, normalise=normalised_by(self.model.cohort)
        )
        if found.none is None:
            best = found.candidates[0]
            return f"nearest: {best.name}, cosine {best.cosine:.3f} (no probabilities)", None
        shares = {one.name: one.probability or 0.0 for one in found.candidates}
        best = max(found.none, *shares.values())
        words = f"## {found.name or 'none of these'}\n\n{sureness(best)}"
        return words, {**shares, "none of these": found.none}

    def _clip(self, path: str | None, label: str) -> Clip:
        if not path:
            raise InputError(f"{label}: record or drop audio first")
        try:
            return look_at(self.model, path, self.needed)
        except InputError as error:
            raise InputError(str(error).replace(str(path), label)) from None


def verdict(score: float, calibration, prior: float) -> str:
    """Return the answer about a pair in words (Markdown)."""
    if calibration is None:
        return f"## score {score:.3f}\n\nThe model has no calibration, so there is no probability."
    llr = calibration.llr(score)
    chance = probability(llr, prior)
    answer = "same speaker" if chance >= 0.5 else "different speakers"
    times = math.exp(min(abs(llr), 20.0))
    other = "one speaker as from two" if llr >= 0 else "two speakers as from one"
    return (
        f"## {answer}\n\nprobability of the same speaker **{chance:.3f}**, score {score:.3f}\n\n"
        f"{sureness(max(chance, 1 - chance))} The clips alone are {times:,.1f} times as probable "
        f"from {other}."
    )


def sureness(chance: float) -> str:
    """Return in words how sure an answer of this probability is."""
    if chance > MOST:
        words = "Sure: fewer than one of 1,000 such answers is wrong"
    elif chance >= SURE:
        words = f"Sure: one of {1 / (1 - chance):,.0f} such answers is wrong"
    else:
        word = "Rather sure" if chance >= UNSURE else "Unsure"
        words = f"{word}: {100 * (1 - chance):.0f} of 100 such answers are wrong"
    return f"{words}, if the calibration was made on recordings like these."


def picture(clip: Clip) -> "Figure":
    """Return waveform with the speech in colour, and log-mel over time."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.6])
    seconds = np.arange(len(clip.samples)) / clip.sample_rate
    step = max(1, len(seconds) // 20_000)
    above.plot(seconds[::step], clip.samples[::step], linewidth=0.5, color="#2a78b5")
    edges = np.flatnonzero(np.diff(np.concatenate(([0], clip.speech.astype(int), [0]))))
    for start, stop in edges.reshape(-1, 2) / 100:
        above.axvspan(start, stop, color="#3aa76d", alpha=0.2, linewidth=0)
    above.set_ylabel("waveform")
    above.set_title(f"{clip.seconds:.1f} s of speech (green)", fontsize=9)
    extent = (0, len(clip.log_mel) / 100, 0, clip.log_mel.shape[1])
    below.imshow(clip.log_mel.T, aspect="auto", origin="lower", extent=extent, cmap="magma")
    below.set(xlabel="seconds", ylabel="mel band")
    return figure
