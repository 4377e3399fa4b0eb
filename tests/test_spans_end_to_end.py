"""A Kaldi directory with segments on a two-channel file, from stage 0 to embeddings.

Features, a step of training and the embeddings equal those of the cut-out files, to the bit.
"""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_training

from sv.bin import average, embed, extract_features, merge_features, prepare_kaldi
from sv.data.validate import validate
from sv.kaldi.arks import load_vectors

pytestmark = pytest.mark.whole

RATE = 16000
SPANS = [
    ("a1", "call-A", 0.25, 1.5),
    ("a2", "call-A", 2.0, 3.5),
    ("b1", "call-B", 1.0, 2.2),
    ("b2", "call-B", 2.5, 4.0),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``spans``: a directory of spans; ``files``: one of the cut-out files."""
    top = tmp_path_factory.mktemp("spans")
    samples = np.random.default_rng(3).normal(0, 0.1, (4 * RATE, 2))
    soundfile.write(top / "call.wav", samples, RATE)
    samples = soundfile.read(top / "call.wav", dtype="int16")[0]
    for kind in ("spans", "files"):
        (top / "kaldi" / kind).mkdir(parents=True)
    spans, files = top / "kaldi" / "spans", top / "kaldi" / "files"
    (spans / "wav.scp").write_text("".join(f"call-{c} {top}/call.wav\n" for c in "AB"))
    (spans / "reco2file_and_channel").write_text("call-A call A\ncall-B call B\n")
    (spans / "segments").write_text("".join(f"{u} {r} {s} {e}\n" for u, r, s, e in SPANS))
    lines = []
    for key, recording, start, end in SPANS:
        part = samples[round(start * RATE) : round(end * RATE), "AB".index(recording[-1])]
        soundfile.write(top / f"{key}.wav", part, RATE)
        lines.append(f"{key} {top}/{key}.wav\n")
    (files / "wav.scp").write_text("".join(lines))
    for folder in (spans, files):
        (folder / "trials").write_text("a1 a2 target\na1 b1 nontarget\n")
        (folder / "utt2spk").write_text("a1 anna\na2 anna\nb1 bert\nb2 bert\n")
    for kind in ("spans", "files"):
        _prepare(top / "kaldi" / kind, top / "data" / kind, top / "fbank" / kind)
    return top


def _prepare(kaldi: Path, data: Path, fbank: Path) -> None:
    prepare_kaldi.main([str(kaldi), "--out", str(data)])
    segments = data / "segments"
    spans = ["--segments", str(segments)] if segments.exists() else []
    extract_features.main(
        ["--scp", str(data / "wav.scp"), "--out", str(fbank), "--name", "1", "--wave", "true"]
        + ["--num-mel-bins", "8", *spans]
    )
    merge_features.main(
        ["--data", str(data), "--pieces", str(fbank), "--num", "1", "--wave", "true"]
    )
    assert validate(data) == []


def _train(top: Path, kind: str, *more: str) -> Path:
    settings = [*tiny_training.TINY, "train.batch_size=4", "train.epochs=1", *more]
    name = "-".join([kind, *more]).replace("=", "-")
    return tiny_training.run(top / "data" / kind, top / "exp" / name, settings)


def test_features_and_waveforms_are_those_of_the_files(made):
    for ark in ("raw_fbank.1.ark", "raw_wave.1.ark"):
        ours, theirs = ((made / "fbank" / kind / ark).read_bytes() for kind in ("spans", "files"))
        assert ours == theirs
    for name in ("utt2num_frames", "utt2num_samples", "utt2dur", "utt2spk", "trials"):
        ours, theirs = ((made / "data" / kind / name).read_text() for kind in ("spans", "files"))
        assert ours == theirs


@pytest.mark.parametrize("domain", ["fbank", "wave"])
def test_a_step_and_the_embeddings_are_those_of_the_files(domain, made):
    found = {}
    for kind in ("spans", "files"):
        exp = _train(made, kind, f"data.domain={domain}")
        average.main(["--exp", str(exp), "--last", "1", "--out", str(exp / "final.pt")])
        embed.main(
            ["--model", str(exp / "final.pt"), "--data", str(made / "data" / kind)]
            + ["--out", str(exp / "e"), "--device", "cpu"]
        )
        found[kind] = (tiny_training.state(exp), *load_vectors(f"scp:{exp}/e.scp"))
    assert tiny_training.same(found["spans"][0], found["files"][0])
    assert found["spans"][1] == found["files"][1] == [key for key, *_ in SPANS]
    assert np.array_equal(found["spans"][2], found["files"][2])


def test_positives_from_neighbouring_spans(made):
    one, two = (_train(made, "spans", f"train.positives={p}") for p in ("span", "neighbours"))
    assert not tiny_training.same(tiny_training.state(one), tiny_training.state(two))
