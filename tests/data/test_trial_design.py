"""Trial lists from labels: against naive counts, and demands that cannot be met."""

import itertools
from collections import Counter

import pytest

from sv.bin import make_trials as program
from sv.data import trial_design
from sv.data.trial_design import Labelled, make_trials
from sv.data.trial_labels import labelled
from sv.data.trials import read_trials
from sv.errors import InputError


def world(speakers=6, sessions=2, each=2):
    return [
        Labelled(f"s{s}-{n}-{u}", f"s{s}", f"x{n}", "fm"[s % 2])
        for s in range(speakers)
        for n in range(sessions)
        for u in range(each)
    ]


def test_all_trials_are_those_of_a_naive_loop():
    utterances = world()
    found = make_trials(utterances, "all")
    wanted = []
    for a, b in itertools.combinations(utterances, 2):
        if a.speaker == b.speaker and a.session != b.session:
            wanted.append((1, a.id, b.id))
        if a.speaker != b.speaker and a.group == b.group:
            wanted.append((0, a.id, b.id))
    assert found == wanted


def test_balanced_trials_have_equally_many_of_both_classes_for_each_speaker():
    utterances = world()
    known = {one.id: one for one in utterances}
    trials = make_trials(utterances)
    assert len({frozenset(pair) for _, *pair in trials}) == len(trials) == 48
    counts = Counter((label, known[a].speaker) for label, a, _ in trials)
    assert set(counts.values()) == {4}
    for label, a, b in trials:
        one, other = known[a], known[b]
        assert (one.speaker == other.speaker) == bool(label) and one.group == other.group
        assert not label or one.session != other.session
    assert make_trials(utterances, seed=0) == trials != make_trials(utterances, seed=1)


@pytest.mark.parametrize(("number", "shares"), [(12, {1}), (20, {1, 2}), (48, {4})])
def test_a_number_of_trials_is_shared_by_the_speakers(number, shares):
    utterances = world()
    trials = make_trials(utterances, number=number, seed=3)
    speaker = {one.id: one.speaker for one in utterances}
    assert len(trials) == number
    for wanted in (0, 1):
        counts = Counter(speaker[a] for label, a, _ in trials if label == wanted)
        assert set(counts.values()) == shares and sum(counts.values()) == number // 2


def test_a_number_of_all_trials_and_very_many_pairs(monkeypatch):
    assert len(make_trials(world(), "all", 50)) == 50
    monkeypatch.setattr(trial_design, "PERMUTED", 10)
    trials = make_trials(world())
    assert sum(label for label, *_ in trials) == len(trials) // 2 == 24
    monkeypatch.setattr(trial_design, "MOST_PAIRS", 10)
    with pytest.raises(InputError, match="take --pairs balanced"):
        make_trials(world(), "all")


def test_without_sessions_and_groups_all_pairs_are_possible():
    utterances = [one._replace(session=None, group=None) for one in world(2, 1, 3)]
    trials = make_trials(utterances, "all")
    assert (len(trials), sum(label for label, *_ in trials)) == (15, 6)


@pytest.mark.parametrize(
    ("utterances", "options", "sentence"),
    [
        (world(1), {}, "1 speaker: a trial list needs two or more"),
        (world(4, 1), {}, "no speaker has two utterances from two sessions: leave out --across"),
        (world(2), {}, "every group has one speaker only.* leave out --same"),
        (world(), {"number": 50}, "need 25 target pairs, and there are 24"),
        (world(), {"number": 7}, "an even number"),
        (world(), {"pairs": "all", "number": 5000}, "have only .* such trials"),
        ([], {}, "only .* non-target pairs are left within its group"),
    ],
)
def test_impossible_demands_are_refused_in_a_sentence(utterances, options, sentence):
    if "only .* non" in sentence:  # one speaker of a group has hardly anybody to be compared with
        utterances = [
            *[Labelled(f"a{n}", "a", f"x{n}", "f") for n in range(9)],
            Labelled("b0", "b", "x", "f"),
            Labelled("b1", "b", "y", "f"),
        ]
    with pytest.raises(InputError, match=sentence):
        make_trials(utterances, **options)


def test_the_program_joins_tables_and_writes_the_same_list_again(tmp_path, capsys):
    utterances = world()
    for name, column in (("utt2spk", 1), ("utt2session", 2), ("sex", 3)):
        lines = [f"{one.id} {one[column]}\n" for one in utterances]
        (tmp_path / name).write_text("".join(lines))
    words = ["--utt2spk", str(tmp_path / "utt2spk"), "--across", str(tmp_path / "utt2session")]
    words += ["--same", str(tmp_path / "sex"), "--out", str(tmp_path / "new/trials")]
    program.main(words)
    first = (tmp_path / "new/trials").read_bytes()
    assert "48 trials, 24 of them target, of 6 speakers" in capsys.readouterr().out
    assert read_trials(tmp_path / "new/trials").rows() == make_trials(utterances)
    program.main(words)
    assert (tmp_path / "new/trials").read_bytes() == first
    (tmp_path / "few.scp").write_text("".join(f"{one.id} x\n" for one in utterances[:16]))
    program.main([*words, "--only", str(tmp_path / "few.scp"), "--number", "8"])
    assert "8 trials, 4 of them target, of 4 speakers" in capsys.readouterr().out
    (tmp_path / "few.scp").write_text("nobody x\n")
    with pytest.raises(InputError, match="1 of 1 utterances have no speaker, the first is nobody"):
        program.main([*words, "--only", str(tmp_path / "few.scp")])
    with pytest.raises(InputError, match="one of --utt2spk and --utt2cluster"):
        program.main(["--out", str(tmp_path / "x")])


def test_groups_are_combinations():
    found = labelled({"u": "s"}, None, [{"u": "f"}, {"u": "en"}])
    assert found == [Labelled("u", "s", None, "f en")]
