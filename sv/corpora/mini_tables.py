"""The text files of the mini corpus: speakers, sessions, utterances, and the trials."""

import fcntl
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from sv.corpora.mini_speech import VERSION, Session, Settings, Spoken, draw_trials
from sv.errors import InputError
from sv.files import atomic_write
from sv.text import read_lines

TABLES = ("speakers.tsv", "sessions.tsv", "utterances.tsv", "trials")


def check_same_settings(corpus: Path, settings: Settings, again: bool = False) -> None:
    """Write the settings to ``corpus/settings.json``, or compare them with those in that file.

    If ``again`` is true, a corpus of other settings is removed first. Otherwise an interrupted run
    could leave a mixture of both corpora that looks like one of the new settings.

    Raises:
        InputError: the folder holds a corpus of other settings, and ``again`` is false.
    """
    path = corpus / "settings.json"
    text = json.dumps({"version": VERSION, **settings.noted()})
    noted = _read(path)
    if noted is None:
        _write(path, text)
    if noted in (None, text):
        return
    if not again:
        raise InputError(
            f"{path}: this corpus was made with {noted}, not with {text}; "
            "give another folder, or --force true to make all of it again"
        )
    # Jobs start at the same time: the first one removes the old corpus, and the others wait.
    with (corpus / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(path) != text:
            for name in TABLES:
                (corpus / name).unlink(missing_ok=True)
            for split in ("train", "test"):
                if (corpus / split).exists():
                    shutil.rmtree(corpus / split)
            _write(path, text)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as handle:
        handle.write(text + "\n")


def write_tables(corpus: Path, utterances: list[Spoken], seed: int) -> None:
    """Write ``speakers.tsv``, ``sessions.tsv``, ``utterances.tsv`` and ``trials``.

    All jobs would write the same tables, so any job may write them.
    """
    sessions = {one.session.id: one.session for one in utterances}
    speakers = {one.speaker: one for one in sessions.values()}
    _write_tsv(corpus / "speakers.tsv", [_speaker_row(one) for one in speakers.values()])
    _write_tsv(corpus / "sessions.tsv", [_session_row(one) for one in sessions.values()])
    _write_tsv(
        corpus / "utterances.tsv",
        [
            {
                "id": one.id,
                "split": one.session.split,
                "speaker": one.session.speaker,
                "session": one.session.name,
                "sex": one.session.voice.sex,
                "path": one.path.as_posix(),
                "sentence": one.sentence,
            }
            for one in utterances
        ],
    )
    with atomic_write(corpus / "trials") as handle:
        handle.writelines(f"{kind} {a} {b}\n" for kind, a, b in draw_trials(utterances, seed))


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of the corpus.

    Raises:
        InputError: the file is missing, or a row has another number of cells than the head.
    """
    missing = ": no such file; make the corpus with python -m sv.bin.synthesize"
    head, *lines = read_lines(path, missing, blanks=" ")
    names = head.split("\t")
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise InputError(f"{path}:{number}: {len(row)} cells, but the head has {len(names)}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _speaker_row(session: Session) -> dict:
    return {"id": session.speaker, "split": session.split, **asdict(session.voice)}


def _session_row(session: Session) -> dict:
    channel = asdict(session.channel)
    room = channel.pop("room")
    bumps = ",".join("{}Hz:{}dB:{}oct".format(*bump) for bump in channel.pop("bumps"))
    return {
        "id": session.id,
        "split": session.split,
        "pitch_factor": session.pitch_factor,
        "rate_factor": session.rate_factor,
        **room,
        **channel,
        "bumps": bumps,
        **_hard_cells(session),
    }


def _hard_cells(session: Session) -> dict:
    if session.hard is None or session.speaking is None:
        return {}
    speaking = {f"speaking_{name}": value for name, value in asdict(session.speaking).items()}
    return {"hard": session.hard.describe(), **speaking}


def _write_tsv(path: Path, rows: list[dict]) -> None:
    with atomic_write(path) as handle:
        handle.write("\t".join(rows[0]) + "\n")
        handle.writelines("\t".join(str(value) for value in row.values()) + "\n" for row in rows)
