"""The result card: how a figure was made, and reasons to doubt it."""

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
    "train_data": "training data",
    "train_utterances": "training utterances",
    "train_hours": "hours of speech",
}
"""Key of train.json -> its name on the card. A program may leave any of them out."""

KNOWN_LISTS = {
    37720: "VoxCeleb1-O (original)",
    37611: "VoxCeleb1-O (cleaned)",
    581480: "VoxCeleb1-E (original)",
    579818: "VoxCeleb1-E (cleaned)",
    552536: "VoxCeleb1-H (original)",
    550894: "VoxCeleb1-H (cleaned)",
}
"""Number of trials -> list, as its authors publish them (VoxCeleb's web page)."""
ALL_SPEAKERS, TEST_SPEAKERS = (10001, 11251), (10270, 10309)
"""First and last number of the speakers of VoxCeleb1, and of those of its test set."""


@dataclass
class System:
    """A system in the report: where its scores and its training are, if there was one.

    ``info``: what the back-end noted beside the scores (``sv.scoring.score_file``);
    ``train_data``: the directory that it was trained on.
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
        """Find what belongs to ``scores``: beside them, or where the back-end says."""
        info = read_info(scores)
        embeddings = _path_of(info)
        exp = exp or experiment_folder(scores) or (embeddings and experiment_folder(embeddings))
        return cls(name, scores, exp, info, train_data)

    @property
    def embeddings(self) -> Path | None:
        """The embeddings that the scores were made of, if they can be found."""
        folder = self.scores.absolute().parent.parent / "embeddings"
        path = _path_of(self.info) or folder / f"{self.scores.name}.scp"
        return path if path.exists() else None

    @property
    def log(self) -> Path | None:
        """The log of the training, one JSON object a line."""
        path = self.exp / "train.jsonl" if self.exp else None
        return path if path and path.exists() else None

    @property
    def configuration(self) -> str | None:
        """The resolved settings of the training, as text."""
        path = self.exp / "config.yaml" if self.exp else None
        return path.read_text(encoding="utf-8") if path and path.exists() else None


def _path_of(info: Mapping) -> Path | None:
    """Return the scp of embeddings that a back-end noted, if it did."""
    return Path(info["embeddings"].removeprefix("scp:")) if info.get("embeddings") else None


def experiment_folder(file: Path) -> Path | None:
    """Return the experiment that a file of scores or embeddings lies in, if it looks like one."""
    folder = file.absolute().parent.parent
    known = (folder / "train.json").exists() or (folder / "config.yaml").exists()
    return folder if known else None


def training_card(exp: Path | None, train_data: Path | None = None) -> dict[str, str]:
    """Return what is known about a training: a name for readers -> text, ``-`` for unknown.

    ``train_data``: its data directory, for its size where ``train.json`` does not say it.
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
    """Return what is known about each system, header first: a row per fact, a column each."""
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
    cohort = UNKNOWN
    if norm:
        top = f", top {norm['top_n']}" if "top_n" in norm else ""
        cohort = (
            f"{norm.get('kind', '').upper()}-norm, {norm.get('size', '?')} "
            f"{norm.get('members', 'members')} of {norm.get('cohort', '?')}{top}"
        )
    return {
        "back-end": _text(info.get("backend")),
        "centred on": _text(info.get("centred_on")),
        "cohort": cohort,
        "calibrated on": _text(calibration.get("learned_from")),
        "labels in scoring": _text(info.get("labels")),
    }


def list_version(trials: Trials) -> str:
    """Return the name of a published trial list, original or cleaned, or ``-``.

    Recognised by the number of its trials, if the ids are those of VoxCeleb1 (id10001 to id11251),
    and for VoxCeleb1-O if they are those of its 40 test speakers (id10270 to id10309).
    """
    known = KNOWN_LISTS.get(len(trials), UNKNOWN)
    first, last = TEST_SPEAKERS if known.startswith("VoxCeleb1-O") else ALL_SPEAKERS
    speakers = (re.match(r"id(1\d{4})(?!\d)", name) for name in trials.names)
    return known if all(s and first <= int(s[1]) <= last for s in speakers) else UNKNOWN


# ---------------------------------------------------------------- what makes a result doubtful


def checks(
    systems: Sequence[System], trials: Trials, utt2spk: Mapping[str, str] | None
) -> list[Check]:
    """Return what was looked at: contamination, labels, test list seen, state of the code.

    Training and test sets are compared for the first system, whose ``train_data`` counts; true
    speakers are read from ``labels/<name>`` beside it, where there are any.
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
    """Return what is odd about the trial list, the number of its speakers, and the figures."""
    found = [Check("Trial list", "warning", f"{text}.") for text in doubts(trials, utt2spk)]
    for result in results:
        if result.constant:
            text = (
                f"All scores of {result.name} are equal, so they tell no trial from another: are "
                "the embeddings broken, or is the score file a template?"
            )
            found.append(Check("Scores", "warning", text))
        if result.eer.value > 0.5:
            text = (
                f"The EER of {result.name} is {100 * result.eer.value:.2f} %, worse than chance: "
                "are 1 and 0 exchanged in the trial list, or are low scores the similar ones?"
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
        text = f"{len(recordings):,} recordings of the trials are in {train_data}, too"
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
        text = (
            f"{len(shared):,} speakers are in both ({shared[0]}, ...): the figures are flattered."
        )
        found.append(Check(what, "warning", text))
    return found or [Check(what, "fine", "They share no recording and no speaker.")]


def _marks(system: System, several: bool) -> list[Check]:
    """Return what the training and the back-end say about themselves."""
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
    if info.get("labels") == "speakers":
        add("Labels in scoring", "warning", "True speakers were used in scoring: not label-free.")
    elif info.get("labels"):
        add("Labels in scoring", "fine", f"Labels used in scoring: {info['labels']}.")
    if training.get("test_list_seen"):
        add("Test list", "warning", "The test list had a say in the training or its checkpoint.")
    if (info.get("calibration") or {}).get("negative_weight"):
        text = "A weight of the calibration is negative: higher scores count as other speakers."
        add("Calibration", "warning", text)
    if (info.get("calibration") or {}).get("learned_on_test"):
        text = "Calibrated on these very trials: actDCF and Cllr are better than anybody will have."
        add("Test list", "warning", text)
    if "dirty" in str(training.get("git_commit", "")):
        text = f"The code had changes that are in no commit ({training['git_commit']})."
        add("Code", "warning", text)
    return found
