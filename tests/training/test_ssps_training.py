"""SSPS in training: from a base, exactly resumable, blind to labels, told what it cannot do."""

import json

import pytest
from tiny_training import SSPS, SSPS_BASE, log, run, same, state

from sv import checkpoint
from sv.errors import InputError

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def continued(ssps_data, ssps_base, tmp_path_factory):
    return run(ssps_data, tmp_path_factory.mktemp("ssps"), SSPS, base=ssps_base)


def test_it_goes_on_from_the_base_fills_for_an_epoch_and_then_samples(continued):
    rows = log(continued)
    assert [row["epoch"] for row in rows] == [3, 4, 5]
    assert "coverage" not in rows[0]
    assert 0 < rows[1]["coverage"] <= 1 and rows[1]["cluster_largest"] >= 1
    assert not any(name.startswith(("oracle", "found")) for row in rows for name in row)


def test_a_baseline_of_as_many_epochs_ends_elsewhere(ssps_data, ssps_base, continued, tmp_path):
    other = run(ssps_data, tmp_path / "baseline", [*SSPS_BASE, "train.epochs=5"], base=ssps_base)
    weights = [checkpoint.load(checkpoint.epoch_path(out, 5)) for out in (continued, other)]
    assert not same(*(w["encoder"] for w in weights))
    first = [checkpoint.load(checkpoint.epoch_path(out, 3)) for out in (continued, other)]
    assert same(*(w["encoder"] for w in first))  # filling the memories changes no weight


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    table = [f"utt{n:03d} spk{n // 3}\n" for n in range(26)]
    (folder / "utt2spk").write_text("".join(table))
    (folder / "utt2session").write_text("".join(table))
    return folder


def test_with_labels_for_the_log_the_state_is_the_same_to_the_bit(
    ssps_data, ssps_base, continued, labels, tmp_path
):
    out = run(ssps_data, tmp_path / "out", SSPS, base=ssps_base, oracle_labels=labels)
    assert same(state(continued), state(out))
    row = log(out)[-1]
    assert row["oracle_speaker"] == row["oracle_session"] and 0 <= row["oracle_speaker"] <= 1
    assert 0 <= row["oracle_nmi"] <= 1
    short = tmp_path / "short_labels"
    short.mkdir()
    lines = (labels / "utt2spk").read_text().splitlines(keepends=True)
    (short / "utt2spk").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="1 of 26 utterances have no label"):
        run(ssps_data, tmp_path / "short", SSPS, base=ssps_base, oracle_labels=short)


def test_positives_of_true_speakers_are_an_ablation_that_says_so(
    ssps_data, ssps_base, labels, tmp_path
):
    true = [*SSPS, "ssps.neighbours=speakers", "ssps.nearest=0", "ssps.queue=26"]
    with pytest.raises(InputError, match="knows the true speakers: give --labels"):
        run(ssps_data, tmp_path / "without", true, base=ssps_base, oracle_labels=labels)
    out = run(
        ssps_data,
        tmp_path / "out",
        true,
        base=ssps_base,
        oracle_labels=labels,
        labels=labels / "utt2spk",
    )
    rows = log(out)
    assert [row["oracle_speaker"] for row in rows[1:]] == pytest.approx([1, 1])
    assert json.loads((out / "train.json").read_text())["labels_used"] == "speakers"


@pytest.mark.parametrize("where", [(2, 2), (3, 1), (4, 2)])
def test_resuming_inside_an_epoch_is_exact(
    ssps_data, ssps_base, continued, tmp_path, stopped_after, where
):
    with stopped_after(*where):
        run(ssps_data, tmp_path / "out", SSPS, base=ssps_base)
    run(ssps_data, tmp_path / "out", SSPS, base=ssps_base)
    assert same(state(continued), state(tmp_path / "out"))


def test_a_base_that_does_not_fit_is_refused(ssps_data, ssps_base, tmp_path):
    with pytest.raises(InputError, match="set train.epochs"):
        run(ssps_data, tmp_path / "a", [*SSPS_BASE, "train.epochs=2"], base=ssps_base)
    with pytest.raises(InputError, match="model.embedding_dim was 16 and is 32"):
        run(
            ssps_data,
            tmp_path / "b",
            [*SSPS_BASE, "train.epochs=5", "model.embedding_dim=32"],
            base=ssps_base,
        )
    with pytest.raises(InputError, match="another method or head"):
        run(
            ssps_data,
            tmp_path / "c",
            [*SSPS_BASE, "train.epochs=5", "method.projector=[8]"],
            base=ssps_base,
        )
    heads = {size: [*SSPS_BASE, "train.epochs=5", f"method.projector=[{size}]"] for size in (8, 6)}
    other = run(ssps_data, tmp_path / "eight", [*heads[8], "train.stop=1"])
    with pytest.raises(InputError, match=r"another method or head \(projector.0.weight does not"):
        run(ssps_data, tmp_path / "six", heads[6], base=other)
    with pytest.raises(InputError, match="nowhere.*there is no such file"):
        run(ssps_data, tmp_path / "d", [*SSPS_BASE, "train.epochs=5"], base=tmp_path / "nowhere")


def test_too_many_clusters_for_what_an_epoch_sees(ssps_data, ssps_base, tmp_path):
    """26 utterances in batches of 8 leave 2 unseen an epoch."""
    with pytest.raises(InputError, match="has seen 24 utterances only"):
        run(ssps_data, tmp_path / "a", [*SSPS, "ssps.clusters=24"], base=ssps_base)
