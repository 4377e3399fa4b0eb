"""Makes data directories from the files of the mini corpus."""

from pathlib import Path

from sv.audio.files import audio_info
from sv.corpora.mini_tables import read_tsv
from sv.data.guard import check_disjoint
from sv.data.manifests import check_trials, staged_data_dir
from sv.data.trials import read_trials
from sv.data.utterance import Utterance
from sv.errors import InputError


def prepare(corpus: Path, data: Path) -> dict[str, list[Utterance]]:
    """Write ``data/train``, ``data/test`` (with trials) and ``data/labels``; return both sets.

    The group of an utterance is the sex of its speaker.

    Raises:
        InputError: a table or an audio file of the corpus is missing or damaged, a speaker is in
            both sets, or the trials do not fit; in this case nothing is written.
    """
    sets: dict[str, list[Utterance]] = {"train": [], "test": []}
    for row in read_tsv(corpus / "utterances.tsv"):
        path = corpus / row["path"]
        if not path.is_file():
            raise InputError(f"{path}: is missing; run sv.bin.synthesize again, it fills gaps")
        rate, channels, samples = audio_info(path)
        sets[row["split"]].append(
            Utterance(
                id=row["id"],
                path=str(path.absolute()),
                duration=samples / rate,
                sample_rate=rate,
                num_samples=samples,
                speaker=row["speaker"],
                session=row["session"],
                group=row["sex"],
                channels=channels,
            )
        )
    if not (corpus / "trials").is_file():
        raise InputError(
            f"{corpus}/trials: no such file; run sv.bin.synthesize again, job 1 writes it"
        )
    trials = read_trials(corpus / "trials").rows()
    check_trials(trials, {u.id for u in sets["test"]}, str(corpus / "trials"))
    check_disjoint(*({u.id: u.speaker for u in sets[name]} for name in ("train", "test")))
    labels = data / "labels"
    with (
        staged_data_dir(data / "train", sets["train"], labels_dir=labels / "train"),
        staged_data_dir(data / "test", sets["test"], trials, labels / "test"),
    ):
        pass
    return sets
