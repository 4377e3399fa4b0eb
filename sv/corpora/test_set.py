"""A set to test a trained model on: audio files with their labels and trials, from any folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sv.corpora.folder_layout import describe_all, detect_layout, find_files
from sv.corpora.name_lists import NameBook, read_trial_list
from sv.data.labels import read_label_file
from sv.data.trial_labels import strictest_trials
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.kaldi.arks import read_paths

LABELS = ("utt2spk", "utt2session", "utt2group")


@dataclass
class TestSet:
    """Utterances and trials. ``paths``: id -> audio file; ``labels``: by the names in ``LABELS``.

    ``made``: whether the trials were drawn from the labels, and not read from a list.
    """

    __test__ = False  # not a test for pytest

    paths: dict[str, str]
    labels: Mapping[str, Mapping[str, str]]
    trials: list[tuple[int, str, str]] = field(default_factory=list)
    made: bool = False


def read_test_set(
    corpus: Path,
    trials: Path | None = None,
    *,
    layout: str = "auto",
    number: int = 10000,
    seed: int = 0,
) -> TestSet:
    """Read a folder of audio or a data directory, and its trials.

    Without ``trials`` the list is ``corpus/trials``. If there is none, it is drawn from the
    speakers in the paths (or in ``labels/`` beside a data directory): balanced, at most ``number``
    trials, across sessions and within groups as far as they are known.

    Raises ``InputError`` if nothing tells who speaks.
    """
    listed = trials or (corpus / "trials" if (corpus / "trials").is_file() else None)
    if (corpus / "wav.scp").is_file():
        found = TestSet(dict(read_paths(corpus / "wav.scp")), _labels_of(corpus))
        if listed is not None:
            found.trials = read_trials(listed).rows()
    else:
        names = find_files(corpus).audio
        layout = detect_layout(names, corpus) if layout == "auto" else layout
        files = describe_all(names, layout, corpus)
        columns = {
            "utt2spk": {f.id: f.speaker for f in files if f.speaker is not None},
            "utt2session": {
                f.id: f"{f.speaker}-{f.session}" for f in files if f.session is not None
            },
            "utt2group": {f.id: f.group for f in files if f.group is not None},
        }
        paths = {file.id: str(corpus.absolute() / file.relative) for file in files}
        found = TestSet(paths, {name: column for name, column in columns.items() if column})
        if listed is not None:
            named = read_trial_list(listed, NameBook(corpus, files, layout))
            found.trials = [(label, e.id, t.id) for label, e, t in named]
    if listed is None:
        if "utt2spk" not in found.labels:
            raise InputError(
                f"{corpus}: no folders of speakers and no trials: give --trials FILE, a list of "
                "'1 enrol.wav test.wav' lines"
            )
        speakers, sessions, groups = (found.labels.get(name) for name in LABELS)
        ids = sorted(name for name in found.paths if name in speakers)
        found.trials = strictest_trials(ids, speakers, sessions, groups, number, seed)
        found.made = True
    return found


def audio_of(corpus: Path) -> dict[str, str]:
    """Return id -> path of the audio of a folder or a data directory; labels are not read."""
    if (corpus / "wav.scp").is_file():
        return dict(read_paths(corpus / "wav.scp"))
    return {
        "-".join(Path(n).with_suffix("").parts): str(corpus.absolute() / n)
        for n in find_files(corpus).audio
    }


def _labels_of(data: Path) -> dict[str, dict[str, str]]:
    """Return the true labels beside a data directory, those that exist."""
    folder = data.absolute().parent / "labels" / data.absolute().name
    return {n: read_label_file(folder / n) for n in LABELS if (folder / n).exists()}
