"""Durations that a header misled are measured again by the repair."""

import gzip
import json

import numpy as np
import soundfile

from sv.data.fix import fix
from sv.data.manifests import write_data_dir
from sv.data.utterance import Utterance
from sv.data.validate import validate
from sv.kaldi.tables import read_table


def test_a_duration_that_the_features_contradict(tmp_path):
    utterances = []
    for name, seconds, said in (("a", 4.0, 1.25), ("b", 2.0, 2.0), ("c", 3.0, 3.0)):
        path = tmp_path / f"{name}.wav"
        count = int(seconds * 16000)
        soundfile.write(path, np.random.default_rng(count).normal(0, 0.1, count), 16000)
        utterances.append(Utterance(name, str(path), said, 16000, int(said * 16000)))
    data = tmp_path / "data"
    write_data_dir(data, utterances)
    (data / "feats.scp").write_text("".join(f"{n} {tmp_path}/a.wav:5\n" for n in "abc"))
    # c: the features are of other audio, and only stage 1 can help.
    (data / "utt2num_frames").write_text("a 398\nb 198\nc 800\n")
    assert "'a'" in validate(data)[0] and "fix_data_dir" in validate(data)[0]
    said = fix(data)
    assert "utt2dur: corrected 1 utterances (a)" in said[0]
    assert read_table(data / "utt2dur").as_dict() == {"a": "4.0", "b": "2.0", "c": "3.0"}
    with gzip.open(data / "recordings.jsonl.gz", "rt") as lines:
        assert [json.loads(line)["num_samples"] for line in lines] == [64000, 32000, 48000]
    (problem,) = validate(data)
    assert "'c'" in problem
    (data / "utt2num_frames").write_text("a 398\nb 198\nc 298\n")
    assert validate(data) == [] and fix(data) == []
