"""Converts data directories from and to Kaldi, whose ``utt2spk`` names true speakers."""

import os
from pathlib import Path

from sv.data.audio_headers import read_headers
from sv.data.labels import read_label_file, refuse_gaps
from sv.data.replaced import replaced_directory, write_table
from sv.data.utterance import AudioFile, Utterance
from sv.errors import InputError
from sv.kaldi.paths import base_folder
from sv.kaldi.tables import read_dict, read_table


def from_kaldi_dir(kaldi_dir: str | os.PathLike) -> list[Utterance]:
    """Return the utterances of a Kaldi data directory, with speakers if ``utt2spk`` exists.

    Relative paths in ``wav.scp`` start at the current folder, as in Kaldi, or at a folder above
    ``wav.scp`` (see ``sv.kaldi.paths``).

    Raises:
        InputError: ``wav.scp`` is missing or has commands (``... |``), there is a ``segments``
            file, an id comes twice, ``utt2spk`` lacks an utterance, or a file cannot be used.
    """
    folder = Path(kaldi_dir)
    wav = read_table(folder / "wav.scp")
    if (folder / "segments").exists():
        raise InputError(
            f"{folder / 'segments'}: cuts recordings into utterances; here an utterance is a file: "
            "write the segments out first (Kaldi's extract-segments, or sox)"
        )
    for index, value in enumerate(wav.values):
        if not value or value.rstrip().endswith("|"):
            raise InputError(
                f"{wav.at(index)}: is not '<id> <path>'; commands are never executed here: run "
                "them yourself and put the files they make into wav.scp"
            )
    paths = read_dict(wav.path)
    speakers = {}
    if (folder / "utt2spk").exists():
        speakers = read_label_file(folder / "utt2spk")
        refuse_gaps(folder / "utt2spk", speakers, paths, str(wav.path))
    files = [AudioFile(path, key, speakers.get(key)) for key, path in paths.items()]
    utterances, bad = read_headers(Path(base_folder(wav.path, wav.values)), files)
    if bad:
        file, reason = bad[0]
        raise InputError(
            f"{wav.path}: {len(bad):,} of {len(files):,} files cannot be used, the first: "
            f"{file.relative} {reason}; repair them or take their lines out"
        )
    return utterances


def to_kaldi_dir(
    data_dir: str | os.PathLike, labels_dir: str | os.PathLike, out_dir: str | os.PathLike
) -> None:
    """Write a directory for Kaldi's own programs: ``utt2spk`` and ``spk2utt`` with true speakers.

    ``out_dir`` names true speakers: never give it to a self-supervised stage.

    Raises:
        InputError: ``data_dir`` or the labels cannot be read, or an utterance has no label.
    """
    paths = read_dict(Path(data_dir) / "wav.scp")
    seconds = read_dict(Path(data_dir) / "utt2dur")
    labels_path = Path(labels_dir) / "utt2spk"
    labels = read_label_file(labels_path)
    refuse_gaps(labels_path, labels, paths, str(data_dir))
    spoken: dict[str, list[str]] = {}
    for key in paths:
        spoken.setdefault(labels[key], []).append(key)
    with replaced_directory(out_dir, marker="wav.scp") as folder:
        write_table(folder / "wav.scp", paths.items())
        write_table(folder / "utt2spk", ((key, labels[key]) for key in paths))
        write_table(folder / "spk2utt", ((s, " ".join(sorted(u))) for s, u in spoken.items()))
        write_table(folder / "utt2dur", ((k, s) for k, s in seconds.items() if k in paths))
