"""The result card: how a figure was obtained, and reasons to doubt it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

from sv.data.durations import read_seconds
from sv.data.guard import check_disjoint
from sv.data.speaker_groups import Groups
from sv.data.trial_checks import doubts
from sv.data.trials import Trials
from sv.kaldi.arks import read_scp
from sv.report.facts import FACTS, UNKNOWN, read_training, training_facts
from sv.report.summary import Check
from sv.scoring.evaluate import SystemResult
from sv.scoring.intervals import caution, taking_part
from sv.scoring.score_file import read_info

TRAINING = {
    **FACTS,
    "precision": "arithmetic",
    "labels_used": "labels in training",
    "dev_speakers": "development speakers",
    "dev_labels": "labels of the development set",
    "train_data": "training data",
    "train_utterances": "training utterances",
    "train_hours": "hours of speech",
}
"""Key of train.json -> its name on the card. Every key is optional."""

KNOWN_LISTS = {
    37720: "VoxCeleb1-O (original)",
    37611: "VoxCeleb1-O (cleaned)",
    581480: "VoxCeleb1-E (original)",
    579818: "VoxCeleb1-E (cleaned)",
    552536: "VoxCeleb1-H (original)",
    550894: "VoxCeleb1-H (cleaned)",
}
"""Number of trials -> name of the list (VoxCeleb's web page)."""
ALL_SPEAKERS, TEST_SPEAKERS = (10001, 11251), (10270, 10309)
"""First and last number of the speakers of VoxCeleb1, and of the speakers of its test set."""


@dataclass
class System:
    """A system in the report, with its score file and, if known, its experiment folder.

    ``info``: the facts that the back-end wrote beside the scores (``sv.scoring.score_file``).
    ``train_data``: the data directory of the training.
    """

    name: str
    scores: Path
    exp: Path | None = None
    info: Mapping = field(default_factory=dict)
    train_data: Path | None = None

    @classmethod
    def of(
        cls, name: str, scores: Path, exp: Path | None = None, train_data: Path | None = None
    ) -> "System":
        """Find the facts and the experiment of ``scores``, beside them or by their embeddings."""
        info = read_info(scores)
        embeddings = _path_of(info)
        exp = exp or experiment_folder(scores) or (embeddings and experiment_folder(embeddings))
        return cls(name, scores, exp, info, train_data)

    @property
    def embeddings(self) -> Path | None:
        """The scp of the embeddings behind the scores, or None if it is not found."""
        folder = self.scores.absolute().parent.parent / "embeddings"
        path = _path_of(self.info) or folder / f"{self.scores.name}.scp"
        return path if path.exists() else None

    @property
    def log(self) -> Path | None:
        """The log of the training, one JSON object per line."""
        path = self.exp / "train.jsonl" if self.exp else None
        return path if path and path.exists() else None

    @property
    def configuration(self) -> str | None:
        """The resolved settings of the training, as text."""
        path = self.exp / "config.yaml" if self.exp else None
        return path.read_text(encoding="utf-8") if path and path.exists() else None


def _path_of(info: Mapping) -> Path | None:
    """Return the scp of embeddings in the facts of a back-end, or None."""
    return Path(info["embeddings"].removeprefix("scp:")) if info.get("embeddings") else None


def experiment_folder(file: Path) -> Path | None:
    """Return the experiment folder of a file of scores or embeddings, or None."""
    folder = file.absolute().parent.parent
    known = (folder / "train.json").exists() or (folder / "config.yaml").exists()
    return folder if known else None


def training_card(exp: Path | None, train_data: Path | None = None) -> dict[str, str]:
    """Return the facts about a training: name for readers -> text, ``-`` for unknown.

    ``train_data``: its data directory, whose size is used if ``train.json`` does not contain it.
    """
    if exp is None:
        return dict.fromkeys(TRAINING.values(), UNKNOWN)
    facts = {**_training_set(train_data), **read_training(exp), **training_facts(exp)}
    return {name: _text(facts.get(key)) for key, name in TRAINING.items()}


def _training_set(data: Path | None) -> dict[str, object]:
    if data is None or not (data / "utt2dur").exists():
        return {}
    seconds = read_seconds(data / "utt2dur").values()
    hours = f"{sum(seconds) / 3600:,.2f}"
    name = str(data) if not data.is_absolute() else data.name
    return {"train_data": name, "train_utterances": f"{len(seconds):,}", "train_hours": hours}


def card_rows(systems: Sequence[System]) -> list[list[str]]:
    """Return the facts about all systems, header first: one row per fact, one column per system."""
    columns = [
        training_card(system.exp, system.train_data) | _scoring(system.info) for system in systems
    ]
    known = [any(cell != UNKNOWN for cell in column.values()) for column in columns]
    systems, columns = list(compress(systems, known)), list(compress(columns, known))
    rows = [["", *(system.name for system in systems)]]
    for name in columns[0] if columns else ():
        cells = [column[name] for column in columns]
        if any(cell != UNKNOWN for cell in cells):
            rows.append([name, *cells])
    return rows if len(rows) > 1 else []


def _text(value: object) -> str:
    return UNKNOWN if value is None else str(value)


def _scoring(info: Mapping) -> dict[str, str]:
    norm, calibration = info.get("normalisation") or {}, info.get("calibration") or {}
    cohort = whitened = UNKNOWN
    if how := info.get("whitening"):
        whitened = f"{how['by']}, learned from {how['learned_from']}"
    if norm:
        top = f", top {norm['top_n']}" if "top_n" in norm else ""
        cohort = (
            f"{norm.get('kind', '').upper()}-norm, {norm.get('size', '?')} "
            f"{norm.get('members', 'members')} of {norm.get('cohort', '?')}{top}"
        )
    return {
        "back-end": _text(info.get("backend")),
        "centred on": _text(info.get("centred_on")),
        "whitened": whitened,
        "cohort": cohort,
        "calibrated on": _text(calibration.get("learned_from")),
        "labels in scoring": _text(info.get("labels")),
    }


def list_version(trials: Trials) -> str:
    """Return the name of a published trial list, original or cleaned, or ``-``.

    A list is recognised by its number of trials, if all ids are of VoxCeleb1 (id10001 to id11251).
    For VoxCeleb1-O, all ids must be of its 40 test speakers (id10270 to id10309).
    """
    known = KNOWN_LISTS.get(len(trials), UNKNOWN)
    first, last = TEST_SPEAKERS if known.startswith("VoxCeleb1-O") else ALL_SPEAKERS
    speakers = (re.match(r"id(1\d{4})(?!\d)", name) for name in trials.names)
    return known if all(s and first <= int(s[1]) <= last for s in speakers) else UNKNOWN


# ---------------------------------------------------------------- reasons to doubt a result


def checks(
    systems: Sequence[System], trials: Trials, utt2spk: Mapping[str, str] | None
) -> list[Check]:
    """Return the checks of contamination, labels, use of the test list, and state of the code.

    Training and test sets are compared only for the first system, by its ``train_data``. True
    speakers are read from ``labels/<name>`` beside it, if it exists.
    """
    return [
        *_contamination(trials, utt2spk, systems[0].train_data),
        *(check for system in systems for check in _marks(system, len(systems) > 1)),
    ]


def doubtful(
    results: Sequence[SystemResult],
    trials: Trials,
    groups: Groups,
    utt2spk: Mapping[str, str] | None,
) -> list[Check]:
    """Return warnings about the trial list, the number of its speakers, and the figures."""
    found = [Check("Trial list", "warning", f"{text}.") for text in doubts(trials, utt2spk)]
    for result in results:
        if result.constant:
            text = (
                f"All scores of {result.name} are equal, so they cannot separate any trials: are "
                "the embeddings broken, or is the score file a template?"
            )
            found.append(Check("Scores", "warning", text))
        if result.eer.value > 0.5:
            text = (
                f"The EER of {result.name} is {100 * result.eer.value:.2f} %, worse than chance: "
                "are 1 and 0 exchanged in the trial list, or do low scores mean similar?"
            )
            found.append(Check("Error rate", "warning", text))
    few = caution(taking_part(trials, groups), groups)
    if few is not None:
        found.append(Check("Test speakers", "warning", few))
    return found


def _contamination(
    trials: Trials, utt2spk: Mapping[str, str] | None, train_data: Path | None
) -> list[Check]:
    what = "Training and test sets"
    if train_data is None:
        text = "Not compared: give --train-data to look for speakers or recordings in both."
        return [Check(what, "unknown", text)]
    recordings = set(read_scp(train_data / "utt2spk")).intersection(trials.names)
    found = []
    if recordings:
        text = f"{len(recordings):,} recordings of the trials are also in {train_data}"
        found.append(Check(what, "warning", f"{text} ({min(recordings)}, ...): seen in training."))
    labels = train_data.absolute().parent / "labels" / train_data.name / "utt2spk"
    if utt2spk is None or not labels.exists():
        if not found:
            text = f"No recording is in both; speakers are not known for {train_data} and the test."
            found.append(Check(what, "unknown", text))
        return found
    test = {name: utt2spk[name] for name in trials.names}
    shared = check_disjoint(labels, test, allow=True)
    if shared:
        text = f"{len(shared):,} speakers are in both ({shared[0]}, ...): the figures are too good."
        found.append(Check(what, "warning", text))
    return found or [Check(what, "fine", "They share no recording and no speaker.")]


def _marks(system: System, several: bool) -> list[Check]:
    """Return the checks that follow from the facts of the training and of the back-end."""
    training = {} if system.exp is None else read_training(system.exp)
    info, found = system.info, []
    prefix = f"{system.name}: " if several else ""

    def add(what: str, state: str, text: str) -> None:
        found.append(Check(what, state, prefix + text))

    used = training.get("labels_used")
    if used not in (None, "none"):
        text = {"clusters": "Pseudo-labels", "speakers": "True speakers"}.get(used, str(used))
        state = "warning" if used == "speakers" else "fine"
        add("Labels in training", state, f"{text} were used in training.")
    elif used == "none":
        add("Labels in training", "fine", "No label was used in training.")
    if training.get("dev_labels") == "speakers":
        text = (
            f"{training.get('dev_speakers', 'Some')} true speakers were held out as a development "
            "set: whatever was chosen by it used labels."
        )
        add("Labels in development", "warning", text)
    elif training.get("dev_labels"):
        add(
            "Labels in development",
            "fine",
            "Pseudo-speakers were held out; no true label was used.",
        )
    if info.get("labels") == "speakers":
        add("Labels in scoring", "warning", "True speakers were used in scoring: not label-free.")
    elif info.get("labels"):
        add("Labels in scoring", "fine", f"Labels used in scoring: {info['labels']}.")
    if info.get("calibration"):
        of = (info["calibration"] or {}).get("learned_from") or "other trials"
        text = (
            f"The labels of {of} were used for the calibration: actDCF and Cllr depend on it. EER "
            "and minDCF do not, unless several systems were fused."
        )
        add("Labels in calibration", "warning", text)
    if training.get("test_list_seen"):
        text = "The test list was used in the training or in choosing its checkpoint."
        add("Test list", "warning", text)
    if (info.get("calibration") or {}).get("negative_weight"):
        text = (
            "A weight of the calibration is negative: a higher score counts as evidence for "
            "different speakers."
        )
        add("Calibration", "warning", text)
    if (info.get("calibration") or {}).get("learned_on_test"):
        text = "Calibrated on these same trials: actDCF and Cllr are better than on other trials."
        add("Test list", "warning", text)
    if "dirty" in str(training.get("git_commit", "")):
        text = f"The code had uncommitted changes ({training['git_commit']})."
        add("Code", "warning", text)
    return found
