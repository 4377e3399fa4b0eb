"""Any folder of audio: what its shape tells, what the trials take out, and what is refused."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sv.corpora import folder as folder_corpus
from sv.corpora.folder_layout import describe, find_audio, safe
from sv.data.guard import check_disjoint
from sv.data.labels import read_label_file
from sv.errors import InputError

OPUS = {"format": "OGG", "subtype": "OPUS"}


def make_audio(path, seconds=0.5, rate=16000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(str(path).encode()))  # no file is a copy of another
    options = OPUS if path.suffix == ".opus" else {}
    soundfile.write(path, rng.normal(0, 0.1, (int(seconds * rate), channels)), rate, **options)


def make_corpus(folder, *names):
    for name in names:
        make_audio(folder / name)
    return folder


@pytest.fixture
def nested(tmp_path):
    """Three speakers with sessions, in a folder with a space, one format each."""
    return make_corpus(
        tmp_path / "my corpus",
        *("anna/s1/a.wav", "anna/s2/b.flac", "ben/s1/a.ogg", "ben/s2/b.opus"),
        *("carl/s1/a.mp3", "carl/s1/b.wav"),
    )


def ids(utterances):
    return [u.id for u in utterances]


def test_three_levels_are_speaker_session_utterance(nested):
    found = folder_corpus.scan(nested)
    assert [(u.id, u.speaker, u.session, u.group) for u in found.train[:2]] == [
        ("anna-s1-a", "anna", "s1", None),
        ("anna-s2-b", "anna", "s2", None),
    ]
    assert len(found.train) == 6 and found.test == [] and found.trials is None


def test_two_levels_are_speaker_utterance(tmp_path):
    found = folder_corpus.scan(make_corpus(tmp_path, "x/1.wav", "y/1.wav"))
    assert [(u.id, u.speaker, u.session) for u in found.train] == [
        ("x-1", "x", None),
        ("y-1", "y", None),
    ]


def test_a_flat_folder_has_no_speakers(tmp_path):
    found = folder_corpus.scan(make_corpus(tmp_path, "1.wav", "2.WAV", ".hidden.wav"))
    assert [(u.id, u.speaker) for u in found.train] == [("1", None), ("2", None)]
    assert not found.has_speakers


def test_parts_above_the_speaker_are_the_sub_corpus(tmp_path):
    found = folder_corpus.scan(make_corpus(tmp_path, "libri/clean/s/c/1.wav", "cv/t/c/1.wav"))
    assert [(u.id, u.group) for u in found.train] == [("t-c-1", "cv"), ("s-c-1", "libri-clean")]


def test_names_become_safe_ids(tmp_path):
    found = folder_corpus.scan(make_corpus(tmp_path, "José Ñ/ses 1/a (1).wav"))
    assert ids(found.train) == ["José_Ñ-ses_1-a_1_"]
    assert found.train[0].path.endswith("José Ñ/ses 1/a (1).wav")


@settings(deadline=None)
@given(st.text(min_size=1, max_size=9).filter(lambda name: name.strip()))
def test_a_safe_name_has_no_blanks_and_stays_as_it_is(name):
    once = safe(name)
    assert len(once.split()) == 1
    assert safe(once) == once
    assert not set(once) & set("|/\\'\"$`;&<>\n")


@settings(deadline=None)
@given(st.lists(st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True), min_size=3, max_size=5))
def test_the_last_three_parts_make_the_id(parts):
    file = describe("/".join(parts) + ".flac", "speaker/session/utt")
    assert file.id == "-".join(parts[-3:])
    assert (file.speaker, file.session) == (parts[-3], parts[-2])
    assert file.group == ("-".join(parts[:-3]) or None)


def write_trials(path, *lines):
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_test_speakers_are_left_out_of_training(nested):
    trials = write_trials(
        nested / "trials", "1 anna/s1/a.wav anna/s2/b.flac", "0 anna/s1/a.wav ben/s1/a.ogg"
    )
    found = folder_corpus.scan(nested, trials)
    assert ids(found.test) == ["anna-s1-a", "anna-s2-b", "ben-s1-a"]
    assert ids(found.train) == ["carl-s1-a", "carl-s1-b"]
    assert found.left_out == 1
    assert found.trials == [(1, "anna-s1-a", "anna-s2-b"), (0, "anna-s1-a", "ben-s1-a")]
    assert "1 utterances of test speakers were left out" in folder_corpus.summary(found)


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ("trials", ["1 anna-s1-a anna-s2-b", "0 anna-s1-a ben-s1-a"]),
        ("anna/trials", ["1 s1/a.wav s2/b.flac", "0 s1/a.wav ../ben/s1/a.ogg"]),
        ("../t.txt", ["1 anna/s1/a.wav anna/s2/b.wav", "0 anna/s1/a.wav ben/s1/a.ogg"]),
        ("../t.txt", ["1 my corpus/anna/s1/a.wav\tanna/s2/b.flac", "0 anna/s1/a.wav\tben-s1-a"]),
        ("trials", ["anna-s1-a anna-s2-b target", "anna-s1-a ben-s1-a nontarget"]),
    ],
    ids=["ids", "from the list", "other suffix", "tabs and spaces", "kaldi"],
)
def test_trials_name_files_in_several_ways(nested, where, lines):
    lines = [line.replace(" ", "\t", 1) if "\t" in line else line for line in lines]
    found = folder_corpus.scan(nested, write_trials(nested / where, *lines))
    assert found.trials == [(1, "anna-s1-a", "anna-s2-b"), (0, "anna-s1-a", "ben-s1-a")]


def test_a_flat_folder_takes_trials_but_cannot_be_guarded(tmp_path):
    make_corpus(tmp_path, "1.wav", "2.wav", "3.wav", "4.wav")
    found = folder_corpus.scan(tmp_path, write_trials(tmp_path / "t", "1 1.wav 2.wav", "0 1 3"))
    assert ids(found.train) == ["4"]
    folder_corpus.write(found, tmp_path / "data")
    assert "cannot be checked" in folder_corpus.summary(found)
    assert not (tmp_path / "data" / "labels").exists()


def test_a_training_list_restricts_training(nested):
    names = write_trials(nested / "list", "ben/s1/a.ogg", "carl-s1-a", "ben/s1/a.ogg")
    assert ids(folder_corpus.scan(nested, None, names).train) == ["ben-s1-a", "carl-s1-a"]


def test_equal_speaker_names_in_two_sub_corpora(tmp_path):
    make_corpus(tmp_path, "one/s/c/1.wav", "two/s/c/2.wav", "two/t/c/1.wav")
    trials = write_trials(tmp_path / "t", "1 one/s/c/1.wav one/s/c/1.wav", "0 s-c-1 s-c-2")
    cautious = folder_corpus.scan(tmp_path, trials)
    assert ids(cautious.train) == ["t-c-1"]
    assert cautious.ambiguous_speakers == ["s"]
    assert "taken as one person" in folder_corpus.summary(cautious)
    trials = write_trials(tmp_path / "t", "1 one/s/c/1.wav one-s-c-1", "0 one-s-c-1 two-t-c-1")
    told = folder_corpus.scan(tmp_path, trials, group_speakers=True)
    assert ids(told.train) == ["two-s-c-2"]


def test_what_is_written(nested, tmp_path):
    trials = write_trials(nested / "trials", "1 ben-s1-a ben-s2-b", "0 ben-s1-a anna-s1-a")
    data = tmp_path / "data"
    folder_corpus.write(folder_corpus.scan(nested, trials), data)
    assert (data / "test" / "trials").read_text() == "1 ben-s1-a ben-s2-b\n0 ben-s1-a anna-s1-a\n"
    assert set(read_label_file(data / "labels" / "train" / "utt2spk").values()) == {"carl"}
    assert set(read_label_file(data / "labels" / "test" / "utt2spk").values()) == {"anna", "ben"}
    assert "carl carl" not in (data / "train" / "utt2spk").read_text()

    folder_corpus.write(folder_corpus.scan(nested), data)  # now without trials
    assert not (data / "test").exists()
    assert not (data / "labels" / "test").exists()


def refuse(message, *arguments, **options):
    with pytest.raises(InputError, match=message):
        folder_corpus.scan(*arguments, **options)


def test_missing_empty_and_wrong_folders(tmp_path):
    refuse("there is no such corpus folder", tmp_path / "none")
    refuse("holds no audio file", tmp_path)
    (tmp_path / "a.m4a").write_bytes(b"x")
    refuse("1 files such as a.m4a are in formats that are not read .1 m4a.: convert", tmp_path)
    refuse("is a file", tmp_path / "a.m4a")


def test_two_files_with_one_id_are_both_named(tmp_path):
    make_corpus(tmp_path, "s/c/a.wav", "s/c/a.flac")
    refuse("a.flac and .*a.wav would both be utterance 's-c-a'", tmp_path)


def test_two_speaker_folders_with_one_name_are_both_named(tmp_path):
    make_corpus(tmp_path, "a b/c/1.wav", "a_b/c/2.wav")
    refuse("'a b' and 'a_b' would both be speaker 'a_b'", tmp_path)


def test_unequal_depth_is_refused_unless_the_layout_is_told(tmp_path):
    make_corpus(tmp_path, "s/c/1.wav", "t/2.wav", "u/3.wav")
    refuse("2 files like t/2.wav; 1 files like s/c/1.wav.*--layout", tmp_path)
    refuse("t/2.wav: does not lie in <speaker/session/utt>", tmp_path, layout="speaker/session/utt")
    assert ids(folder_corpus.scan(tmp_path, layout="flat").train) == ["s-c-1", "t-2", "u-3"]


BAD_FILES = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "noise": (b"this is no audio" * 99, "cannot be read"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_listed_and_stop_above_the_limit(case, nested, tmp_path):
    content, reason = BAD_FILES[case]
    (nested / "carl" / "s1" / "c.wav").write_bytes(content)
    bad_files = tmp_path / "data" / "bad_files"
    refuse(f"1 of 7 audio files .*14.3 %.*c.wav: {reason}", nested, bad_files=bad_files)
    assert "carl/s1/c.wav\t" in bad_files.read_text()
    found = folder_corpus.scan(nested, max_bad=0.2)
    assert len(found.train) == 6 and len(found.bad) == 1
    assert "1 files cannot be used" in folder_corpus.summary(found)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_a_copy_that_was_cut_off_is_found(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    make_audio(path, seconds=4)
    assert len(folder_corpus.scan(tmp_path).train) == 1
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuse("cut off", tmp_path)


def test_less_than_a_frame_is_bad(tmp_path):
    make_audio(tmp_path / "a.wav", seconds=0.02)
    refuse("320 samples, less than one frame", tmp_path)


def test_a_file_that_cannot_be_opened_is_bad(tmp_path):
    make_corpus(tmp_path, "a.wav")
    (tmp_path / "b.wav").symlink_to("nowhere.wav")
    refuse("b.wav: does not exist", tmp_path)


def test_bad_files_of_an_earlier_run_do_not_stay(nested, tmp_path):
    bad_files = tmp_path / "bad_files"
    bad_files.write_text("old\n")
    folder_corpus.scan(nested, bad_files=bad_files)
    assert not bad_files.exists()


BAD_TRIALS = {
    "unknown": ("1 anna-s1-a anna-s2-b\n0 anna-s1-a zoe/s1/a.wav\n", "line 2: zoe/s1/a.wav"),
    "one class": ("1 anna-s1-a anna-s2-b\n", "non-target"),
    "one class, tabs": ("0\tanna-s1-a\tanna-s2-b\n", "all 1 trials are non-target"),
    "empty": ("\n", "is empty"),
    "no label": ("anna-s1-a anna-s2-b\n", "labels"),
    "four columns": ("1 anna/s1/a b.wav x\n", "line 1"),
    "tabs missing": ("1\ta\tb\n0 a b\n", ":2: '0 a b' is not"),
    "everyone": ("1 anna-s1-a anna-s2-b\n0 ben-s1-a carl-s1-a\n", "no utterance is left"),
}


@pytest.mark.parametrize("case", BAD_TRIALS)
def test_bad_trials_are_refused(case, nested):
    text, message = BAD_TRIALS[case]
    (nested / "trials").write_text(text)
    refuse(message, nested, nested / "trials")


def test_missing_lists_are_refused(nested):
    refuse("nothing.txt: there is no such file", nested, nested / "nothing.txt")
    refuse("nothing.txt: there is no such file", nested, None, nested / "nothing.txt")


def test_a_bad_file_in_the_trials_is_named(nested):
    (nested / "ben" / "s1" / "a.ogg").write_bytes(b"")
    trials = write_trials(nested / "t", "1 anna-s1-a anna-s2-b", "0 anna-s1-a ben-s1-a")
    refuse("names .*ben/s1/a.ogg, which is empty", nested, trials, max_bad=1.0)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("full", ["train/wav.scp", "test/trials", "labels/train/utt2spk"])
def test_a_full_disk_leaves_both_sets_as_they_were(full, nested, tmp_path, monkeypatch):
    """A new test set beside an old training set could share speakers with it."""
    data = tmp_path / "data"
    trials = write_trials(nested / "t", "1 anna-s1-a anna-s2-b", "0 anna-s1-a ben-s1-a")
    folder_corpus.write(folder_corpus.scan(nested, trials), data)
    before = contents(data)
    others = write_trials(nested / "t", "1 carl-s1-a carl-s1-b", "0 carl-s1-a ben-s1-a")
    found = folder_corpus.scan(nested, others)
    opened, wanted = Path.open, data / full

    def no_space(path, mode="r", **options):
        # Files, and folders too, are written under the name .<name>.<process>.tmp first.
        parts = [part.removeprefix(".").split(".")[0] for part in path.relative_to("/").parts]
        if "w" in mode and parts[-3:] == list(wanted.with_suffix("").parts[-3:]):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", no_space)
    with pytest.raises(OSError) as caught:
        folder_corpus.write(found, data)
    assert caught.value.filename == str(data / full)
    monkeypatch.undo()
    assert contents(data) == before
    folder_corpus.write(found, data)
    assert contents(data) != before
    assert not list(data.rglob(".*"))


def test_links_are_followed_without_going_round(tmp_path):
    make_corpus(tmp_path / "store", "s/c/1.wav")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "s").symlink_to(tmp_path / "store" / "s")
    (tmp_path / "store" / "s" / "c" / "up").symlink_to(corpus)
    assert find_audio(corpus) == ["s/c/1.wav"]


def test_a_link_to_itself_is_one_bad_file(tmp_path):
    corpus = make_corpus(tmp_path / "c", "a/1.wav", "b/1.wav")
    (corpus / "a" / "loop.wav").symlink_to("loop.wav")
    (corpus / "a" / "loop").symlink_to("loop")
    refuse("1 of 3 .*loop.wav.*symbolic links", corpus)
    assert len(folder_corpus.scan(corpus, max_bad=0.5).train) == 2


def test_the_guard_refuses_shared_speakers(tmp_path):
    train, test = {"a": "anna", "b": "ben"}, {"x": "anna", "y": "carl"}
    with pytest.raises(InputError, match=r"share 1 speakers \(anna\)"):
        check_disjoint(train, test)
    assert check_disjoint(train, test, allow=True) == ["anna"]
    assert check_disjoint(train, {"y": "carl"}) == []
    for name, labels in (("train", train), ("test", test)):
        (tmp_path / name).write_text("".join(f"{k} {v}\n" for k, v in labels.items()))
    with pytest.raises(InputError, match=f"{tmp_path}/train and {tmp_path}/test share 1"):
        check_disjoint(tmp_path / "train", tmp_path / "test")


FOREIGN = "a/x.M4A", "a/y.sph", "b/z.Wma"


def test_formats_that_are_not_read_are_counted(tmp_path):
    corpus = make_corpus(tmp_path / "c", "a/1.wav", "a/2.WAV", "b/1.flac", "b/2.wav", "c/1.Mp3")
    for name in (*FOREIGN, "a/notes.txt", "a/.hidden.m4a", "b/cover.jpg", "b/1.m4a", "t.json"):
        (corpus / name).parent.mkdir(exist_ok=True)
        (corpus / name).write_bytes(b"x")
    listed = tmp_path / "bad"
    words = r"3 of 8 audio files cannot be used.*1 m4a, 1 sph, 1 wma.*sox in.sph|3 of 8.*ffmpeg -i"
    refuse(words, corpus, bad_files=listed)
    assert len(listed.read_text().splitlines()) == 3  # before any header was read
    found = folder_corpus.scan(corpus, max_bad=0.4, bad_files=listed)
    assert len(found.train) == 5 and len(found.bad) == 3
    assert "3 files such as a/x.M4A are in formats that are not read" in folder_corpus.summary(
        found
    )
    assert "y.sph\tis in a format that is not read: convert it by 'sox in.sph" in (
        listed.read_text()
    )


def test_a_name_that_is_not_utf8_is_one_bad_file(tmp_path):
    corpus = make_corpus(tmp_path / "c", "a/1.wav", "b/1.wav", "b/\u00fc.wav")
    for name in (b"b/caf\xe9.wav", b"b/caf\xe8.wav"):
        Path(os.fsdecode(os.fsencode(corpus) + b"/" + name)).write_bytes(b"x")
    refuse(r"2 of 5 .*caf\\xe8.wav: has a name that is not UTF-8", corpus)
    listed = tmp_path / "bad"
    found = folder_corpus.scan(corpus, max_bad=0.5, bad_files=listed)
    assert ids(found.train) == ["a-1", "b-1", "b-\u00fc"]
    assert "b/caf\\xe9.wav\thas a name" in listed.read_text()
    folder_corpus.write(found, tmp_path / "data")


@pytest.mark.parametrize("linked", [True, False])
def test_test_audio_under_another_name_is_not_trained_on(tmp_path, linked):
    corpus = make_corpus(tmp_path, "s1/1.wav", "s2/1.wav", "s3/1.wav", "s3/2.wav", "s4/1.wav")
    (tmp_path / "trials").write_text("0 s1/1.wav s2/1.wav\n1 s1/1.wav s1/1.wav\n")
    (corpus / "s3" / "other.wav").unlink(missing_ok=True)
    if linked:
        (corpus / "s3" / "other.wav").symlink_to(corpus / "s2" / "1.wav")
    else:
        shutil.copy(corpus / "s2" / "1.wav", corpus / "s3" / "other.wav")
    found = folder_corpus.scan(corpus, corpus / "trials")
    assert ids(found.train) == ["s4-1"]  # s3 is s2 by another name
    assert found.copies == {"s3-other": "s2-1"}
    assert "s3-other that of s2-1" in folder_corpus.summary(found)
    (corpus / "s4" / "1.wav").unlink()
    refuse("left to train on.*1 training files, and so their", corpus, corpus / "trials")


def test_a_channel_that_is_not_there(tmp_path):
    make_audio(tmp_path / "a" / "1.wav")
    make_audio(tmp_path / "a" / "2.wav", channels=2)
    found = folder_corpus.scan(tmp_path, max_bad=0.5, channel=1)
    assert ids(found.train) == ["a-2"] and "--channel 1 is none of them" in found.bad[0][1]
    assert len(folder_corpus.scan(tmp_path, channel=0).train) == 2


def test_a_tree_of_speakers_under_one_folder_is_not_misread_in_silence(tmp_path):
    """VCTK has wav48/<speaker>/<utterance>, which looks like one speaker with sessions."""
    corpus = make_corpus(
        tmp_path / "vctk",
        *(f"wav48/p{speaker}/p{speaker}_{n}.wav" for speaker in (225, 226, 227) for n in (1, 2)),
    )
    told = folder_corpus.summary(folder_corpus.scan(corpus))
    assert "wav48/p225/p225_1.wav is of speaker wav48, session p225" in told
    assert (
        "warning: 6 of 6 utterances are of one speaker, wav48: if its folders (p225, p226," in told
    )
    assert "p227) are the speakers, give --layout speaker/utt" in told
    told = folder_corpus.summary(folder_corpus.scan(corpus, layout="speaker/utt"))
    assert "p225_1.wav is of speaker p225, sub-corpus wav48" in told and "warning" not in told


def test_one_speaker_with_most_of_the_utterances_is_named(tmp_path):
    corpus = make_corpus(tmp_path / "c", *(f"anna/{n}.wav" for n in range(5)), "ben/1.wav")
    told = folder_corpus.summary(folder_corpus.scan(corpus))
    assert "warning: 5 of 6 utterances are of one speaker, anna: move the folders" in told
