"""Stage 0 of the VoxCeleb recipe, program by program, on a miniature tree of wav files."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from sv.bin import scan_audio
from sv.data.labels import read_label_file
from sv.data.validate import validate
from sv.errors import InputError

sys.path.append(str(Path(__file__).resolve().parents[1] / "egs" / "voxceleb" / "local"))
import list_audio
import make_miniature
import voxceleb
import write_data

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a tree")
    make_miniature.main(["--out", str(folder), "--voxceleb2-format", "wav"])
    return folder


@pytest.fixture
def copy(tree, tmp_path):
    shutil.copytree(tree, tmp_path / "tree")
    return tmp_path / "tree"


def listed(tree, out, *options):
    words = ["--voxceleb1", str(tree / "voxceleb1"), "--voxceleb2", str(tree / "voxceleb2")]
    words += ["--trials", str(tree / "trials")]
    list_audio.main([*words, "--counts", str(tree / "counts"), "--out", str(out), *options])
    return dict(line.split(" ", 1) for line in (out / "parts").read_text().splitlines())


def prepared(tree, folder, *options, listing=()):
    """Run all of stage 0 without its shell; return the data folder."""
    for part, root in listed(tree, folder / "lists", *listing).items():
        lists = folder / "lists"
        words = ["--scp", str(lists / f"{part}.scp"), "--root", root]
        scan_audio.main([*words, "--out", str(lists / part / "scanned.1.tsv")])
    words = ["--scanned", str(folder / "lists"), "--trials", str(tree / "trials")]
    words += ["--counts", str(tree / "counts"), "--out", str(folder / "data")]
    write_data.main([*words, *listing, *options])
    return folder / "data"


def speakers(data, name):
    return set(read_label_file(data / "labels" / name / "utt2spk").values())


def test_training_is_voxceleb2_dev_and_nothing_else(tree, tmp_path, capsys):
    data = prepared(tree, tmp_path)
    assert validate(data / "train", feats=False) == []
    assert validate(data / "voxceleb1", feats=False) == []
    assert speakers(data, "train") == set(make_miniature.SPEAKERS["voxceleb2-dev"])
    groups = read_label_file(data / "labels" / "train" / "utt2group")
    assert set(groups.values()) == {"voxceleb2-dev"}
    assert (data / "trials" / "lists").read_text().split() == ["vox1-o", "vox1-e", "vox1-h"]
    line = (data / "trials" / "vox1-o").read_text().splitlines()[0]
    assert line == "1 id10270--a_b-C1dEfG-00001 id10270-zYxWvUtSrQp-00001"
    sessions = read_label_file(data / "labels" / "voxceleb1" / "utt2session")
    assert sessions["id10270--a_b-C1dEfG-00001"] == "id10270--a_b-C1dEfG"
    said = capsys.readouterr().out
    assert "layout vox1_dev_wav/wav/<speaker>/<video>/<utterance>.wav" in said
    assert "vox1-e: 42 trials, sha256 " in said
    assert "NOT, byte for byte, the published list" in said
    assert "NOT the published 1,211 speakers and 148,642 utterances" in said


def test_more_training_data_only_when_asked_for(tree, tmp_path, capsys):
    data = prepared(tree, tmp_path, listing=["--train-set", "voxceleb2+voxceleb2-test"])
    expected = make_miniature.SPEAKERS
    assert speakers(data, "train") == {*expected["voxceleb2-dev"], *expected["voxceleb2-test"]}
    assert "trained on voxceleb2-test, do not test on sitw" in capsys.readouterr().out
    with pytest.raises(InputError, match="'vox3' is unknown; known are voxceleb2, voxceleb1, "):
        listed(tree, tmp_path, "--train-set", "voxceleb2+vox3")


def test_lists_with_training_speakers_are_refused_or_marked(tree, tmp_path, capsys):
    listing = ["--train-set", "voxceleb1"]
    with pytest.raises(InputError, match="vox1-e: .*share 3 speakers .*--contaminated true"):
        prepared(tree, tmp_path, listing=listing)
    assert not (tmp_path / "data" / "train").exists()
    data = prepared(tree, tmp_path, "--contaminated", "true", listing=listing)
    names = ["vox1-o", "vox1-e-contaminated", "vox1-h-contaminated"]
    assert (data / "trials" / "lists").read_text().split() == names
    assert "vox1-e: CONTAMINATED, 3 of its speakers are trained on" in capsys.readouterr().out
    data = prepared(tree, tmp_path / "o", listing=[*listing, "--lists", "o"])
    assert sorted(p.name for p in (data / "trials").iterdir()) == ["lists", "vox1-o"]
    assert speakers(data, "voxceleb1") == set(make_miniature.SPEAKERS["voxceleb1-test"])


LAYOUTS = [
    ("voxceleb1-dev", "vox1_dev_wav/wav"),
    ("voxceleb1-dev", "vox1_dev_wav"),
    ("voxceleb1-dev", "dev/wav"),
    ("voxceleb1-dev", "voxceleb1/dev/wav"),
    ("voxceleb1-dev", "wav"),
    ("voxceleb1-test", "vox1_test_wav/wav"),
    ("voxceleb1-test", "test/wav"),
    ("voxceleb2-dev", "dev/aac"),
    ("voxceleb2-dev", "voxceleb2/dev/aac"),
    ("voxceleb2-dev", "vox2_dev_aac/dev/aac"),
    ("voxceleb2-dev", "vox2_dev_aac"),
    ("voxceleb2-dev", "VoxCeleb2/train/wav"),
]


@pytest.mark.parametrize(("part", "layout"), LAYOUTS)
def test_known_layouts_are_found_and_named(part, layout, tmp_path, capsys):
    folder = tmp_path / layout / ("id10270" if "test" in part else "id10001") / "video"
    if part.startswith("voxceleb2"):
        folder = tmp_path / layout / "id00012" / "video"
    folder.mkdir(parents=True)
    (folder / "00001.wav").touch()
    found, files = list_audio.find(part, tmp_path, {}, "any")
    assert found == tmp_path / layout and len(files) == 1
    assert f"layout {layout}/<speaker>/<video>/<utterance>.wav" in capsys.readouterr().out


def test_splits_that_lie_together_are_told_apart(copy, tmp_path, capsys):
    one, two = copy / "voxceleb1", copy / "voxceleb2"
    for root, halves in (
        (one, ("vox1_dev_wav/wav", "vox1_test_wav/wav")),
        (two, ("dev/aac", "test/aac")),
    ):
        for half in halves:
            for speaker in (root / half).iterdir():
                (root / "wav").mkdir(exist_ok=True)
                speaker.rename(root / "wav" / speaker.name)
    with pytest.raises(InputError, match="6 speakers of VoxCeleb2 without .*vox2_meta.csv"):
        listed(copy, tmp_path / "lists")
    rows = [f"{s} ,n1 ,f ,dev \n" for s in make_miniature.SPEAKERS["voxceleb2-dev"]]
    rows += [f"{s} ,n1 ,f ,test \n" for s in make_miniature.SPEAKERS["voxceleb2-test"]]
    (two / "vox2_meta.csv").write_text("VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \n" + "".join(rows))
    assert set(listed(copy, tmp_path / "lists").values()) == {str(one / "wav"), str(two / "wav")}
    assert "voxceleb2-dev: 2 speakers of the other split there are left out" in (
        capsys.readouterr().out
    )


def test_test_speakers_in_the_dev_folder_are_not_trained_on(copy, tmp_path):
    one = copy / "voxceleb1"
    (one / "vox1_test_wav/wav/id10270").rename(one / "vox1_dev_wav/wav/id10270")
    with pytest.raises(InputError, match="voxceleb1-test has 2 speakers, 8 utterances, where 3"):
        listed(copy, tmp_path, "--train-set", "voxceleb1")
    _, files = list_audio.find("voxceleb1-dev", one, {}, "any")
    assert {file.speaker for file in files} == set(make_miniature.SPEAKERS["voxceleb1-dev"])


def test_a_part_that_is_missing(copy, tmp_path):
    shutil.rmtree(copy / "voxceleb1" / "vox1_test_wav")
    message = "voxceleb1: voxceleb1-test is missing: none of the known folders"
    with pytest.raises(InputError, match=message):
        listed(copy, tmp_path)
    with pytest.raises(InputError, match="voxceleb2-dev is needed: give --voxceleb2"):
        list_audio.check_root("voxceleb2-dev", None)
    with pytest.raises(InputError, match="nowhere: there is no such folder; check --voxceleb2"):
        list_audio.check_root("voxceleb2-dev", Path("nowhere"))


def test_an_incomplete_part(copy, tmp_path):
    shutil.rmtree(copy / "voxceleb2" / "dev" / "aac" / "id00012")
    with pytest.raises(InputError, match="voxceleb2-dev has 3 speakers, 12 utterances, where 4"):
        listed(copy, tmp_path)
    with pytest.raises(InputError, match="vox1-o has 12 trials, where 37,611 trials are expected"):
        listed(copy, tmp_path, "--counts", "published")


def test_m4a_without_ffmpeg_is_said_before_anything_is_read(copy, tmp_path, monkeypatch):
    for path in (copy / "voxceleb2" / "dev").rglob("*.wav"):
        path.rename(path.with_suffix(".m4a"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="16 files such as id00012/.*apt-get install ffmpeg"):
        listed(copy, tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


def test_trials_that_name_missing_files(copy, tmp_path):
    shutil.rmtree(copy / "voxceleb1" / "vox1_test_wav" / "wav" / "id10270" / "zYxWvUtSrQp")
    counts = re.sub("voxceleb1-test 3 12", "voxceleb1-test 3 10", (copy / "counts").read_text())
    (copy / "counts").write_text(counts)
    message = r"veri_test2.txt: names 2 files \(of 9\).*id10270-zYxWvUtSrQp-00001 \(line 1\)"
    with pytest.raises(InputError, match=message):
        listed(copy, tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


def test_a_list_of_another_length_and_a_list_that_is_not_there(copy, tmp_path):
    with (copy / "trials" / "veri_test2.txt").open("a") as handle:
        handle.write("0 id10270/-a_b-C1dEfG/00001.wav id10271/-a_b-C1dEfG/00001.wav\n")
    with pytest.raises(InputError, match="vox1-o has 13 trials, where 12 trials are expected"):
        prepared(copy, tmp_path)
    (copy / "trials" / "veri_test2.txt").unlink()
    with pytest.raises(InputError, match="veri_test2.txt: no such trial list"):
        prepared(copy, tmp_path)


def test_trials_that_name_a_bad_file(copy, tmp_path):
    bad = copy / "voxceleb1/vox1_test_wav/wav/id10270/zYxWvUtSrQp/00001.wav"
    bad.write_bytes(b"")
    with pytest.raises(InputError, match="names 1 files .of 9. .*id10270-zYxWvUtSrQp-00001"):
        prepared(copy, tmp_path, "--max-bad", "0.1")
    assert not (tmp_path / "data" / "train").exists()


def test_too_many_bad_files(copy, tmp_path):
    bad = copy / "voxceleb2/dev/aac/id00012/zYxWvUtSrQp/00003.wav"
    bad.write_bytes(bad.read_bytes()[:1000])
    with pytest.raises(InputError, match="voxceleb2-dev: 1 of 16 files cannot be used.*--max-bad"):
        prepared(copy, tmp_path)
    data = prepared(copy, tmp_path, "--max-bad", "0.1")
    assert len((data / "train" / "wav.scp").read_text().splitlines()) == 15
    assert str(bad) in (data / "bad_files.voxceleb2-dev").read_text()


def test_facts():
    assert voxceleb.PUBLISHED["vox1-o"] == (37611,)
    assert voxceleb.split_of("id10270", {}) == voxceleb.split_of("id10309", {}) == "test"
    assert voxceleb.split_of("id10269", {}) == voxceleb.split_of("id10310", {}) == "dev"
    assert voxceleb.parts_needed("voxceleb2", "o") == ["voxceleb1-test", "voxceleb2-dev"]
    with pytest.raises(InputError, match="--lists 'x': give some of o, e and h"):
        voxceleb.list_names("x")
