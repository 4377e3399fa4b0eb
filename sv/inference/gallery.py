"""Known speakers of one model: who they are, and which of them speaks in a recording.

gallery = Gallery.open("people.safetensors", model)
gallery.enrol("alice", vectors)                    # written at once, safe with several writers
found = gallery.identify(vector, model.calibration)

A gallery is one safetensors file: ``sums`` (n, dim), for each speaker the sum of the embeddings of
unit length, and ``counts`` (n,). Its metadata have the names, the hash of the model, and a SHA-256
of the rest. It holds no audio, no code, and nothing of it is secret or encrypted: an embedding
tells a voice.
"""

import contextlib
import hashlib
import json
import threading
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sv.errors import InputError
from sv.files import atomic_write, shown
from sv.inference.decision import posteriors
from sv.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from sv.inference.model_dir import CosineCalibration
    from sv.inference.speaker_model import SpeakerModel

    Normalise = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

FORMAT = "sv-toolkit gallery 1"
WAIT_SECONDS = 60.0
"""How long a writer waits for another one."""
LONGEST_NAME = 200
REMEDY = "take a copy of it, or enrol the speakers again in another file"

_threads = threading.Lock()  # the lock of a file is that of a process: threads need their own


class Candidate(NamedTuple):
    """A known speaker. ``llr`` and ``probability`` are None without a calibration."""

    name: str
    cosine: float
    llr: float | None = None
    probability: float | None = None


class Found(NamedTuple):
    """The best candidates, the best first, and the probability that it is none of all speakers."""

    candidates: list[Candidate]
    none: float | None

    @property
    def name(self) -> str | None:
        """The most probable speaker; None if it is most probably none of them, or unknown."""
        if self.none is None or not self.candidates:
            return None
        best = self.candidates[0]
        return best.name if (best.probability or 0.0) > self.none else None


class Speaker(NamedTuple):
    """What is kept of a speaker. ``seconds``: of speech in all recordings; ``added``: a date."""

    recordings: int
    seconds: float
    added: str


@dataclass
class Gallery:
    """The speakers in a file. Read it by ``open``; ``enrol`` and ``remove`` write it."""

    path: Path
    model: str
    """Hash of the model, ``SpeakerModel.identity``."""
    dim: int
    speakers: dict[str, Speaker] = field(default_factory=dict)
    sums: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(n, dim), in the order of ``speakers``."""

    @classmethod
    def open(cls, path: str | Path, model: "SpeakerModel") -> "Gallery":
        """Read the gallery of ``model``; a file that does not exist is an empty gallery.

        Raises:
            InputError: the file is damaged, no gallery, or the gallery of another model.
        """
        path = Path(path)
        if not path.exists():
            return cls(path, model.identity, model.dim, {}, np.empty((0, model.dim), np.float32))
        gallery = cls.read(path)
        if gallery.model != model.identity:
            raise InputError(
                f"{shown(path)} is a gallery of another model ({gallery.model[:12]}, and yours is "
                f"{model.identity[:12]}): their embeddings cannot be compared; give that model, or "
                "another --gallery and enrol the speakers again"
            )
        return gallery

    @classmethod
    def read(cls, path: str | Path) -> "Gallery":
        """Read a gallery without its model, to list it.

        Raises:
            InputError: the file does not exist, is damaged, or no gallery.
        """
        path = Path(path)
        data, about = _parts(path)
        try:
            speakers = {name: Speaker(*facts) for name, facts in about["speakers"]}
            gallery = cls(path, about["model"], data.shape[1], speakers, data)
            if about["format"] != FORMAT:
                raise InputError(
                    f"{shown(path)} is of another version ({about['format']}): {REMEDY}"
                )
            if len(speakers) != len(data) or not np.isfinite(data).all():
                raise ValueError("numbers of speakers")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{shown(path)} is a damaged gallery ({error}): {REMEDY}") from None
        return gallery

    def enrol(
        self, name: str, vectors: np.ndarray, seconds: float = 0.0, replace: bool = False
    ) -> Speaker:
        """Add recordings of a speaker to the file; return what it has of the speaker now.

        Parameters
        ----------
        name: of the speaker. If it is known, the recordings are added to those before.
        vectors: embeddings (recordings, dim).
        seconds: of speech in them.
        replace: forget the recordings of before.

        Raises:
            InputError: the name cannot be used, or the file cannot.
        """
        name = checked_name(name)
        vectors = np.atleast_2d(np.asarray(vectors, np.float64))
        if vectors.shape[1] != self.dim or not np.isfinite(vectors).all():
            raise InputError(f"embeddings of {name} have {vectors.shape[1]} values, not {self.dim}")
        new = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).sum(0)
        with self._rewritten():
            known = self.speakers.get(name)
            if known is None:
                self.sums = np.concatenate((self.sums, np.zeros((1, self.dim), np.float32)))
            before = Speaker(0, 0.0, "") if known is None or replace else known
            self.speakers[name] = Speaker(
                before.recordings + len(vectors),
                round(before.seconds + seconds, 2),
                time.strftime("%Y-%m-%d"),
            )
            row = list(self.speakers).index(name)
            self.sums[row] = new + (self.sums[row] if before.recordings else 0.0)
        return self.speakers[name]

    def remove(self, names: list[str]) -> None:
        """Remove speakers from the file.

        Raises:
            InputError: there is no speaker of such a name; then none is removed.
        """
        with self._rewritten():
            for name in names:
                self.require(name)
            kept = [row for row, name in enumerate(self.speakers) if name not in names]
            self.sums = self.sums[kept]
            self.speakers = {n: facts for n, facts in self.speakers.items() if n not in names}

    def require(self, name: str) -> Speaker:
        """Return what is known of a speaker. Raises ``InputError`` for an unknown name."""
        if name not in self.speakers:
            near = get_close_matches(name, self.speakers, 1)
            hint = f"; did you mean {near[0]}?" if near else "; `sv gallery list` names all"
            raise InputError(f"{shown(self.path)} has no speaker {name!r}{hint}")
        return self.speakers[name]

    def require_speakers(self) -> None:
        """Raise ``InputError`` if the gallery is empty."""
        if not self.speakers:
            raise InputError(
                f"{shown(self.path)} has no speakers yet: add some with `sv enroll NAME FILES "
                f"--gallery {shown(self.path)}`"
            )

    def identify(
        self,
        vector: np.ndarray,
        calibration: "CosineCalibration | None" = None,
        prior: float = 0.5,
        top: int = 5,
        normalise: "Normalise | None" = None,
    ) -> Found:
        """Return the best candidates for the voice of an embedding (dim,).

        Parameters
        ----------
        calibration: of the model; without it there are cosines only.
        prior: the probability that the voice is of any speaker of the gallery.
        top: largest number of candidates.
        normalise: maps the cosines (n,), the embedding and those of the speakers (n, dim) to the
            scores that the model is calibrated on, if these are not the cosines.

        Raises:
            InputError: the gallery is empty.
        """
        self.require_speakers()
        voice = np.asarray(vector, np.float32)
        scores = self.sums @ (voice / np.linalg.norm(voice))
        scores /= np.sqrt(np.einsum("nd,nd->n", self.sums, self.sums))
        judged = scores if normalise is None else normalise(scores, voice, self.sums)
        names, rows = list(self.speakers), np.argsort(-judged, kind="stable")[:top]
        if calibration is None:
            return Found([Candidate(names[row], float(scores[row])) for row in rows], None)
        llrs = calibration.scale * judged.astype(np.float64) + calibration.offset
        shares, none = posteriors(llrs, prior)
        rows = np.argsort(-shares, kind="stable")[:top]
        each = zip(rows, scores[rows], llrs[rows], shares[rows], strict=True)
        return Found([Candidate(names[n], *map(float, values)) for n, *values in each], none)

    @contextlib.contextmanager
    def _rewritten(self) -> Iterator[None]:
        """Hold the lock, take what others have written, and write the file after the block."""
        with _writing(self.path):
            if self.path.exists():
                now = self.read(self.path)
                if now.model != self.model:
                    raise InputError(f"{shown(self.path)} is now the gallery of another model")
                self.speakers, self.sums = now.speakers, now.sums
            self.sums = self.sums.copy()
            yield
            _write(self.path, self.model, self.speakers, self.sums)


def checked_name(name: str) -> str:
    """Return the name in composed Unicode. Raises ``InputError`` if it cannot be a name."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"{name[:40]!r} cannot be the name of a speaker: give 1 to {LONGEST_NAME} printable "
            "characters"
        )
    return name


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Hold the lock of a gallery; wait for another writer up to ``WAIT_SECONDS``."""
    lock = path.with_name(f".{path.name}.lock")
    until = time.monotonic() + WAIT_SECONDS
    with _threads, contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(lock, shown(path)))
                break
            except InputError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        yield


def _write(path: Path, model: str, speakers: dict[str, Speaker], sums: np.ndarray) -> None:
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    sums = np.ascontiguousarray(sums, np.float32)
    entries = [[name, list(facts)] for name, facts in speakers.items()]
    about = {"format": FORMAT, "model": model, "speakers": entries}
    text = json.dumps(about, ensure_ascii=False)
    data = save({"sums": sums}, metadata={"gallery": text, "sha256": _digest(text, sums)})
    with atomic_write(path, "wb") as handle:
        handle.write(data)


def _parts(path: Path) -> tuple[np.ndarray, dict]:
    """Return ``sums`` and the facts of a file, after a check of its hash."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        what = "a folder, not a gallery" if path.is_dir() else "there is no such gallery"
        raise InputError(f"{shown(path)}: {what}; `sv enroll NAME FILES --gallery FILE` makes one")
    try:
        with safe_open(path, "numpy") as file:
            facts = file.metadata() or {}
            if "gallery" not in facts:
                raise InputError(
                    f"{shown(path)} is no gallery; `sv enroll NAME FILES --gallery FILE` makes one"
                )
            sums = file.get_tensor("sums")
        if sums.ndim != 2 or facts.get("sha256") != _digest(facts["gallery"], sums):
            raise InputError(f"{shown(path)} is a damaged gallery (its hash is wrong): {REMEDY}")
        return sums, json.loads(facts["gallery"])
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{shown(path)} is no gallery, or a damaged one ({error}): {REMEDY}"
        ) from None


def _digest(text: str, sums: np.ndarray) -> str:
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    found.update(repr(sums.shape).encode())
    found.update(np.ascontiguousarray(sums, "<f4").data)
    return found.hexdigest()
