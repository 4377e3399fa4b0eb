"""Limits that documents, docstrings and help texts state are those of the code.

A row names a text, a pattern whose only group is the number in it, and the number in the code. A
text that is worded anew makes its row fail too: then the row is to be corrected with it.
"""

import re

import numpy as np
import pytest
from features.test_filterbank import TOLERANCE, TONE_TOLERANCE

from sv.audio import problems
from sv.cluster import start
from sv.corpora.musan_rirs import MUSAN, RIRS
from sv.crops import banks
from sv.crops.index import TrainingIndex
from sv.data import audio_headers, validate
from sv.errors import InputError
from sv.features.framing import frame_sizes
from sv.inference import export, speaker_model
from sv.kaldi import ids
from sv.kaldi.arks import ArkWriter, read_ark
from sv.report import embedding_map

FRAME_MS = 1000 * frame_sizes(16000)[0] / 16000
LIMITS = [
    ("docs/use_a_model.md", r"any length from ([\d.]+) ms on", FRAME_MS),
    ("docs/use_a_model.md", r"\(below\s([\d.]+) s there is no voice", speaker_model.MIN_SECONDS),
    ("docs/use_a_model.md", r"default opset (\d+) ", export.OPSET),
    ("docs/use_a_model.md", r"runs in onnxruntime ([\d.]+) and", float(export.OPSETS[18])),
    ("docs/use_a_model.md", r"`--opset` 19, 20 and 21 need ([\d.]+),", float(export.OPSETS[19])),
    ("docs/use_a_model.md", r" need 1.16, ([\d.]+) and", float(export.OPSETS[20])),
    ("docs/use_a_model.md", r" need 1.16, 1.17 and ([\d.]+)\.", float(export.OPSETS[21])),
    ("docs/decisions.md", r"refuse less than ([\d.]+) s of audio", speaker_model.MIN_SECONDS),
    ("docs/decisions.md", r"from one frame of ([\d.]+) ms on", FRAME_MS),
    ("docs/decisions.md", r"An id has at most (\d+) bytes", ids.MAX_ID),
    ("docs/decisions.md", r"differs by more than ([\de-]+) is not written", export.TOLERANCE),
    ("docs/scaling.md", r"at most (\d+) bytes", ids.MAX_ID),
    ("docs/add_a_corpus.md", r"more than ([\d.]+) % of them stop", 100 * problems.MAX_BAD),
    ("sv/audio/problems.py", r"More than\s([\d.]+) % of them means", 100 * problems.MAX_BAD),
    ("sv/audio/problems.py", r"one frame of ([\d.]+) ms \(", 1000 * problems.FRAME_SECONDS),
    ("sv/data/audio_headers.py", r"one frame of ([\d.]+) ms", 1000 * audio_headers.FRAME_SECONDS),
    ("sv/inference/export.py", r"from one frame of ([\d.]+) ms on", FRAME_MS),
    ("sv/inference/export.py", r"at least ([\d.]+) ms\"", FRAME_MS),
    ("sv/bin/export.py", r"any length from ([\d.]+) ms on", FRAME_MS),
    ("sv/bin/make_banks.py", r"decays of ([\d.]+) s", banks.ROOM_SECONDS),
    ("sv/bin/map_embeddings.py", r"up to ([\d,]+) utterances", embedding_map.TSNE_LIMIT),
    ("sv/cluster/start.py", r"up to k = (\d+)\.", start.ROUNDS),
    ("sv/inference/speaker_model.py", r"``MIN_SECONDS`` \(([\d.]+) s\)", speaker_model.MIN_SECONDS),
    ("sv/features/filterbank.py", r"are below ([\de-]+) for signals", TOLERANCE),
    ("sv/features/filterbank.py", r"they are below ([\d.]+), and each", TONE_TOLERANCE),
    ("sv/bin/merge_features.py", r"default=([\d.]+),", problems.MAX_BAD),
    ("sv/bin/prepare_folder.py", r"default=([\d.]+),", problems.MAX_BAD),
    ("sv/bin/prepare_musan.py", r"\(([\d.]+) GB\)", float(MUSAN.size.removesuffix(" GB"))),
    ("sv/bin/prepare_rirs.py", r"\(([\d.]+) GB\)", float(RIRS.size.removesuffix(" GB"))),
    ("local/prepare_noises.sh", r"\(([\d.]+) GB and ", float(MUSAN.size.removesuffix(" GB"))),
    ("local/prepare_noises.sh", r" and ([\d.]+) GB\)", float(RIRS.size.removesuffix(" GB"))),
]


@pytest.mark.parametrize(("file", "pattern", "limit"), LIMITS)
def test_the_text_states_the_limit_of_the_code(root, file, pattern, limit):
    found = re.findall(pattern, (root / file).read_text())
    assert found, f"{file} no longer has {pattern!r}: correct this table with the text"
    assert [float(text.replace(",", "")) for text in found] == pytest.approx([limit] * len(found))


def test_all_lengths_of_a_frame_are_one():
    assert FRAME_MS == 1000 * problems.FRAME_SECONDS == 1000 * audio_headers.FRAME_SECONDS
    assert pytest.approx(1000 * (validate.FRAME_SHIFT + validate.FRAME_OVERHANG)) == FRAME_MS


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_shortest_voice_is_heard_and_one_sample_less_is_refused(write_model, tmp_path, rate):
    model = speaker_model.SpeakerModel.load(write_model(tmp_path / "m.pt"))
    model.sample_rate = rate
    samples = np.random.default_rng(0).normal(0, 0.1, round(speaker_model.MIN_SECONDS * rate))
    assert np.isfinite(model.embed(samples, rate)).all()
    with pytest.raises(InputError, match=r"too short to hear a voice, which takes 0\.1 s at least"):
        model.embed(samples[:-1], rate)


def test_the_longest_id_is_written_and_read_and_one_byte_more_is_refused(tmp_path):
    longest = "é" * (ids.MAX_ID // 2)
    with ArkWriter(tmp_path / "a.ark", tmp_path / "feats.scp") as writer:
        writer.write(longest, np.ones((3, 2)))
    (tmp_path / "utt2num_frames").write_text(f"{longest} 3\n")
    assert [key for key, _ in read_ark(tmp_path / "a.ark")] == [longest]
    assert TrainingIndex.load(tmp_path).ids(0) == longest
    with (
        pytest.raises(InputError, match="has 513 bytes"),
        ArkWriter(tmp_path / "b", None) as writer,
    ):
        writer.write(longest + "x", np.ones((3, 2)))
    for name, value in (("feats.scp", f"{tmp_path}/a.ark:514"), ("utt2num_frames", "3")):
        (tmp_path / name).write_text(f"{longest}x {value}\n")
    with pytest.raises(InputError, match="longer than 512 bytes"):
        TrainingIndex.load(tmp_path)


def test_a_share_of_bad_utterances_at_the_limit_is_put_up_with(tmp_path):
    bad = [problems.Bad(f"u{n}", "x.wav", "is short") for n in range(2)]
    problems.refuse_too_many(bad[:1], round(1 / problems.MAX_BAD), "list", problems.MAX_BAD)
    with pytest.raises(InputError):
        problems.refuse_too_many(bad, round(1 / problems.MAX_BAD), "list", problems.MAX_BAD)


def test_one_frame_of_audio_is_features_and_one_sample_less_is_none():
    samples = np.random.default_rng(0).normal(0, 0.1, frame_sizes(16000)[0])
    assert problems.find_problem(samples, 16000) is None
    assert "shorter than one frame" in problems.find_problem(samples[:-1], 16000)
