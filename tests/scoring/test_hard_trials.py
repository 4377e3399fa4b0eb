"""Hard trial lists: who the impostors are."""

import numpy as np
import pytest

from sv.bin import hard_trials
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter
from sv.scoring.hard_trials import nearest_impostors


def on_a_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_the_nearest_of_other_speakers_in_the_same_group():
    #                        0  1   2   3   4    5
    vectors = on_a_circle(0, 5, 10, 20, 30, 1)
    speakers = np.array([0, 0, 1, 1, 2, 3])
    groups = np.array([0, 0, 0, 0, 0, 1])  # 5 is nearest to 0 but of another group
    pairs = nearest_impostors(vectors, speakers, groups, np.array([0, 0, 3]))
    assert pairs.tolist() == [[0, 2], [0, 3], [3, 4]]


def test_a_pair_stands_once_and_few_speakers_give_few_pairs():
    vectors, groups = on_a_circle(0, 10, 20), np.zeros(3, dtype=int)
    pairs = nearest_impostors(vectors, np.array([0, 1, 1]), groups, np.array([0, 1, 1, 2]))
    assert pairs.tolist() == [[0, 1], [2, 0]]
    with pytest.raises(InputError, match="every group has one speaker only"):
        nearest_impostors(vectors, np.zeros(3, dtype=int), groups, np.array([0]))


def write_set(folder, speakers=4, utterances=3):
    """Speakers of two sexes; within one, neighbours on the circle are alike."""
    ids, tables = [], {"utt2spk": [], "utt2sex": []}
    with ArkWriter(folder / "e.ark", folder / "e.scp") as writer:
        for speaker in range(speakers):
            for number in range(utterances):
                ids.append(f"s{speaker}-{number}")
                vector = on_a_circle(30 * speaker + number)[0]
                writer.write(ids[-1], vector.astype(np.float32))
                tables["utt2spk"].append(f"{ids[-1]} s{speaker}\n")
                tables["utt2sex"].append(f"{ids[-1]} {'fm'[speaker % 2]}\n")
    for name, rows in tables.items():
        (folder / name).write_text("".join(rows))
    lines = [f"1 s{s}-0 s{s}-{n}\n" for s in range(speakers) for n in (1, 2)]
    lines += [f"0 s{s}-0 s{(s + 1) % speakers}-1\n" for s in range(speakers)]
    (folder / "trials").write_text("".join(lines))
    return [f"--{name}={folder / file}" for name, file in (("trials", "trials"),)] + [
        f"--labels={folder / 'utt2spk'}",
        f"--embeddings=scp:{folder / 'e.scp'}",
    ]


def test_the_program_keeps_targets_and_finds_impostors_alike(tmp_path, capsys):
    words, out = write_set(tmp_path), tmp_path / "hard"
    hard_trials.main([*words, "--same", str(tmp_path / "utt2sex"), "--out", str(out)])
    assert "8 target trials" in capsys.readouterr().out
    made, before = read_trials(out), read_trials(tmp_path / "trials")
    targets = {(t.names[a], t.names[b]) for t in (made, before) for a, b in of(t, True)}
    assert targets == {(before.names[a], before.names[b]) for a, b in of(before, True)}
    impostors = [(made.names[a], made.names[b]) for a, b in of(made, False)]
    assert len(impostors) == 8 and made.duplicates == 0
    for enrol, other in impostors:  # the other speaker of that sex, at 60 degrees
        assert abs(int(enrol[1]) - int(other[1])) == 2
    hard_trials.main([*words, "--out", str(out)])  # without a condition: a neighbour
    made = read_trials(out)
    steps = {abs(int(made.names[a][1]) - int(made.names[b][1])) for a, b in of(made, False)}
    assert steps == {1}


def of(trials, label):
    rows = trials.labels == label
    return list(zip(trials.enrol[rows].tolist(), trials.test[rows].tolist(), strict=True))


def test_missing_labels_and_embeddings_are_named(tmp_path):
    words = [*write_set(tmp_path), "--out", str(tmp_path / "hard")]
    (tmp_path / "utt2sex").write_text("s0-0 f\n")
    with pytest.raises(InputError, match="of this test set"):
        hard_trials.main([*words, "--same", str(tmp_path / "utt2sex")])
    assert not (tmp_path / "hard").exists()
