"""Lists of MUSAN and RIRS_NOISES, from which stage 2 makes banks; lhotse describes both corpora.

lhotse knows the layout of both corpora and reads all headers. Its manifests are kept beside our
lists. We add two checks, because lhotse accepts a missing folder as an empty one, and downloads
archives without a checksum.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sv.corpora.download import download, unpack
from sv.corpora.folder_layout import safe
from sv.data.replaced import replaced_directory, write_table
from sv.errors import InputError
from sv.kaldi.paths import base_folder
from sv.kaldi.tables import read_dict

SHOWN = 3
MUSAN_PARTS = ("music", "noise", "speech")
RIR_PARTS = ("sim_rir", "real_rir")
ROOM_SIZES = ("smallroom", "mediumroom", "largeroom")


@dataclass(frozen=True)
class Archive:
    """The origin of a corpus; ``folder`` is the name of its folder in the archive."""

    url: str
    checksum: str
    folder: str
    size: str


# The MD5 sums are those of WeSpeaker's recipe. Both corpora may be redistributed (CC BY 4.0, Apache
# 2.0).
MUSAN = Archive(
    "https://www.openslr.org/resources/17/musan.tar.gz",
    "md5:0c472d4fc0c5141eca47ad1ffeb2a7df",
    "musan",
    "11 GB",
)
RIRS = Archive(
    "https://www.openslr.org/resources/28/rirs_noises.zip",
    "md5:e6f48e257286e05de56413b4779d8ffb",
    "RIRS_NOISES",
    "1.3 GB",
)


def fetch(archive: Archive, folder: str | os.PathLike) -> None:
    """Download ``archive`` and unpack it as ``folder``, unless that folder exists."""
    folder = Path(folder)
    if folder.exists():
        return
    packed = folder.with_name(archive.url.rpartition("/")[2])
    print(f"{folder}: fetching {archive.url} ({archive.size})", flush=True)
    download([archive.url], packed, archive.checksum)
    unpack(packed, archive.folder, folder)


def prepare_musan(
    corpus: str | os.PathLike, out: str | os.PathLike, *, babble: str = "musan"
) -> dict[str, int]:
    """Write ``out/{wav.scp,utt2dur,utt2kind}`` and lhotse's manifests; return files of each kind.

    Args:
        corpus: the folder with ``music``, ``noise`` and ``speech``.
        out: the folder to write.
        babble: "musan" takes the speech of MUSAN. "training" leaves it out; babble is then summed
            from other training utterances.

    Raises:
        InputError: a folder is missing or empty, or a file cannot be read.
    """
    from lhotse.recipes.musan import prepare_musan as describe

    corpus = Path(corpus)
    parts = MUSAN_PARTS if babble == "musan" else MUSAN_PARTS[:2]
    _require_folders(corpus, parts, "MUSAN", "--musan")
    clips: list[tuple[str, str, str, float]] = []
    with replaced_directory(out, marker="wav.scp") as folder:
        manifests = _described(describe, corpus, folder, parts)
        for kind in parts:
            clips += _clips(manifests[kind]["recordings"], kind, corpus)
        _write_lists(folder, clips)
    return {kind: sum(clip[1] == kind for clip in clips) for kind in parts}


def prepare_rirs(
    corpus: str | os.PathLike,
    out: str | os.PathLike,
    *,
    parts: Sequence[str] = ("sim_rir",),
    max_rooms: int = 0,
) -> dict[str, int]:
    """Write ``out/{wav.scp,utt2dur,utt2kind}`` of room responses; return files of each part.

    Args:
        corpus: the folder ``RIRS_NOISES``.
        out: the folder to write.
        parts: lhotse's names: ``sim_rir`` (60,000 simulated responses, which the published systems
            use) and ``real_rir`` (325 measured responses).
        max_rooms: how many responses to take, spread evenly over all; 0: all.

    Raises:
        InputError: a part is unknown, a folder is missing or empty, or a file cannot be read.
    """
    from lhotse.recipes.rir_noise import PARTS as FOLDERS
    from lhotse.recipes.rir_noise import prepare_rir_noise as describe

    corpus = Path(corpus)
    unknown = [part for part in parts if part not in RIR_PARTS]
    if unknown or not parts:
        raise InputError(f"--parts {' '.join(unknown)}: known are {', '.join(RIR_PARTS)}")
    for part in parts:
        rooms = [f"{FOLDERS[part]}/{size}" for size in ROOM_SIZES] if part == "sim_rir" else []
        _require_folders(corpus, rooms or [FOLDERS[part]], "RIRS_NOISES", "--rirs")
    clips: list[tuple[str, str, str, float]] = []
    with replaced_directory(out, marker="wav.scp") as folder:
        manifests = _described(describe, corpus, folder, parts)
        for part in parts:
            clips += _clips(manifests[part]["recordings"], part, corpus)
        clips.sort()
        if 0 < max_rooms < len(clips):
            clips = [clips[i * len(clips) // max_rooms] for i in range(max_rooms)]
        _write_lists(folder, clips)
    return {part: sum(clip[1] == part for clip in clips) for part in parts}


def read_clips(folder: str | os.PathLike) -> list[tuple[str, str, Path]] | None:
    """Return (id, kind, path) of each file of a prepared folder; None if it is not prepared."""
    folder = Path(folder)
    if not (folder / "wav.scp").exists() or not (folder / "utt2kind").exists():
        return None
    kinds, paths = read_dict(folder / "utt2kind"), read_dict(folder / "wav.scp")
    absent = [key for key in paths if key not in kinds]
    if absent:
        raise InputError(f"{folder / 'utt2kind'}: lacks '{absent[0]}' of wav.scp; prepare it again")
    base = base_folder(folder / "wav.scp", list(paths.values()))
    return [(key, kinds[key], Path(base, path)) for key, path in paths.items()]


def _require_folders(corpus: Path, parts: Sequence[str], name: str, option: str) -> None:
    """Raise if a folder is missing, which lhotse would take for an empty corpus."""
    if not corpus.is_dir():
        raise InputError(
            f"{corpus}: there is no such folder; check {option}, or fetch it with --download true"
        )
    absent = [part for part in parts if next((corpus / part).rglob("*.wav"), None) is None]
    if not absent:
        return
    there = sorted(entry.name for entry in corpus.iterdir() if entry.is_dir())
    hint = ""
    if absent == ["speech"]:
        hint = ", or give --babble training (babble from other training utterances)"
    raise InputError(
        f"{corpus}: holds no wav files in {' or '.join(absent)} (it has the folders "
        f"{', '.join(there) or 'none'}); give the folder {name} as it was unpacked{hint}"
    )


def _described(describe, corpus: Path, folder: Path, parts: Sequence[str]) -> dict:
    """Call a recipe of lhotse; raise ``InputError`` for its errors, which have many types.

    Only libsndfile may read. Otherwise lhotse would also try torchaudio, which may be absent or may
    not fit torch.
    """
    from lhotse.audio.backend import get_current_audio_backend, set_current_audio_backend

    before = get_current_audio_backend()
    set_current_audio_backend("LibsndfileBackend")
    try:
        return describe(corpus, output_dir=folder, parts=list(parts))
    except OSError:
        raise
    except Exception as error:  # errors of soundfile and audioread, assertions of lhotse
        text = " ".join(str(error).split())[:300]
        raise InputError(
            f"{corpus}: lhotse cannot describe it ({type(error).__name__}: {text}); repair or "
            "remove the file that it names"
        ) from error
    finally:
        set_current_audio_backend(before)


def _clips(recordings, kind: str, corpus: Path) -> list[tuple[str, str, str, float]]:
    """Return (id, kind, path, seconds); ids are paths below the corpus, which are unique."""
    clips = []
    for recording in recordings:
        path = Path(recording.sources[0].source).absolute()
        parts = path.relative_to(corpus.absolute()).with_suffix("").parts
        clips.append(("-".join(map(safe, parts)), kind, str(path), recording.duration))
    return clips


def _write_lists(folder: Path, clips: Sequence[tuple[str, str, str, float]]) -> None:
    write_table(folder / "wav.scp", ((name, path) for name, _, path, _ in clips))
    write_table(folder / "utt2kind", ((name, kind) for name, kind, _, _ in clips))
    write_table(folder / "utt2dur", ((name, str(round(sec, 6))) for name, _, _, sec in clips))
