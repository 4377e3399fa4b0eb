"""The page, its pictures and its warnings; in a real browser where there is one."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from sv.bin import report as program
from sv.bin.map_embeddings import main as map_embeddings
from sv.data.trials import Trials, read_trials
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter
from sv.report import card
from sv.report import page as report_html
from sv.report.card import System, checks, list_version
from sv.report.embedding_map import TSNE_LIMIT, embedding_map, map_figure, maps_figure
from sv.report.summary import Check, summary
from sv.scoring.score_file import write_info

pytestmark = pytest.mark.whole

SPEAKERS, EACH, DIM = 6, 4, 8
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two experiments of one trial list, with embeddings, labels and a training set."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    ids = [f"s{s}-{'xy'[u % 2]}-u{u}" for s in range(SPEAKERS) for u in range(EACH)]
    voices = rng.standard_normal((SPEAKERS, DIM))
    vectors = {name: voices[int(name[1])] + 0.6 * rng.standard_normal(DIM) for name in ids}
    pairs = [(a, b) for a in ids for b in ids if a < b]
    (folder / "test").mkdir()
    (folder / "test" / "trials").write_text(
        "".join(f"{int(a[:2] == b[:2])} {a} {b}\n" for a, b in pairs)
    )
    labels = folder / "labels" / "test"
    labels.mkdir(parents=True)
    (labels / "utt2spk").write_text("".join(f"{name} {name[:2]}\n" for name in ids))
    (labels / "utt2session").write_text("".join(f"{name} {name[:4]}\n" for name in ids))
    (folder / "train").mkdir()
    (folder / "train" / "utt2spk").write_text("t1 t1\nt2 t2\n")
    (folder / "train" / "utt2dur").write_text("t1 1800\nt2 5400.0\n")
    (folder / "labels" / "train").mkdir()
    (folder / "labels" / "train" / "utt2spk").write_text("t1 s8\nt2 s9\n")
    for name, noise in (("good", 0.0), ("other", 1.0)):
        exp = folder / name
        (exp / "embeddings").mkdir(parents=True)
        (exp / "scores").mkdir()
        with ArkWriter(exp / "embeddings/test.ark", exp / "embeddings/test.scp") as writer:
            for key in ids:
                writer.write(key, vectors[key].astype(np.float32))
        with (exp / "scores" / "test").open("w") as handle:
            for a, b in pairs:
                score = vectors[a] @ vectors[b] / DIM + noise * rng.standard_normal()
                handle.write(f"{a} {b} {score:.6f}\n")
        (exp / "train.json").write_text('{"method": "simclr", "seed": 7, "epochs": 2}')
        (exp / "config.yaml").write_text(f"optim:\n  lr: 0.001  # of <{name}>\n")
        rows = [{"epoch": 1, "loss": 2.0 + noise}, {"epoch": 2, "loss": 1.0}]
        (exp / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def command(world, *systems, **extra):
    words = ["--trials", str(world / "test" / "trials"), "--resamples", "60"]
    words += ["--utt2spk", str(world / "labels/test/utt2spk")]
    words += ["--utt2session", str(world / "labels/test/utt2session")]
    words += ["--train-data", str(world / "train")]
    words += ["--scores", *(str(world / name / "scores/test") for name in systems)]
    for key, value in extra.items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return words


@pytest.fixture(scope="module")
def single(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("single")
    program.main(command(world, "good", out=out))
    return out


@pytest.fixture(scope="module")
def several(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("several")
    program.main(command(world, "good", "other", out=out))
    return out


class Reader(HTMLParser):
    """Collects tags, texts of cells, and every attribute that could load something."""

    LOADING = ("src", "href", "xlink:href", "srcset", "data", "poster", "action")
    EMPTY = {"meta", "br", "img", "hr", "link", "path", "use", "rect", "line"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.cells, self.text, self.open = [], [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for key, value in attributes if key in self.LOADING]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th", "span") and self.cells:
            self.cells[-1] += data


def refuse_loads(text):
    """Fail if the page could fetch anything: only pointers within it are allowed."""
    found = Reader(text)
    assert all(value.startswith("#") for value in found.loads)
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(found.tags)
    assert "://" not in text and "@import" not in text
    targets = re.findall(r"url\(([^)]*)\)", text)
    assert targets and all(target.startswith("#") for target in targets)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and {t[1:] for t in [*targets, *found.loads]} <= set(ids)
    return found


def test_a_page_for_one_experiment(single):
    found = refuse_loads((single / "report.html").read_text())
    # DET curve, histogram, the map by speaker and by session, the loss.
    assert found.open == [] and found.tags.count("svg") == 5
    record = json.loads((single / "report.json").read_text())
    eer, span = 100 * record["eer"], record["systems"][0]["intervals"]["eer"]
    low, high = (100 * end for end in span)
    assert f"good has an equal error rate of {eer:.2f} %" in found.text
    assert f"{eer:.2f}{low:.2f} to {high:.2f}" in found.cells
    for fact in ("method", "simclr", "seed", "7", "priors (p_target)", "0.01, 0.05", "2.00"):
        assert fact in found.cells
    assert "lr: 0.001  # of <good>" in found.text
    assert "They share no recording and no speaker." in found.text
    (alarm,) = re.findall('class="alarm".*', (single / "report.html").read_text())
    assert "no more than 6 speakers" in alarm


def test_pictures_are_files_too(single):
    names = {
        f"{stem}.{form}" for stem in ("det", "scores", "map", "curves") for form in ("png", "pdf")
    }
    assert {path.name for path in single.iterdir()} == names | {"report.html", "report.json"}


def test_a_page_comparing_two(several):
    found = refuse_loads((several / "report.html").read_text())
    assert "good, other" in found.text and "other has" in found.text
    assert found.cells.count("simclr") == 2  # one card, a column each
    assert "Epoch by epoch: good, other." in found.text
    assert "other − good" in found.cells


def browse(page, folder):
    """Open ``page`` in a real browser; return the page as shown, and what the console says."""
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    words += ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    words += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"]
    words += ["--window-size=1000,1600", f"--screenshot={folder / 'page.png'}", "--dump-dom"]
    words += ["--enable-logging=stderr", page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return Reader(done.stdout), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium here")
def test_the_page_in_a_browser(several, tmp_path):
    """Its policy makes the browser refuse, and say so, whatever a page asks from elsewhere."""
    shown, said = browse(several / "report.html", tmp_path)
    assert shown.tags.count("svg") == 6 and shown.tags.count("table") >= 4
    assert "good has an equal error rate" in shown.text
    assert said == []
    image = imread(tmp_path / "page.png")[..., :3]
    assert image.shape[:2] == (1600, 1000) and image.std() > 0.02

    asking = (several / "report.html").read_text().replace("<h2>", '<img src="//x/y.png"><h2>', 1)
    (tmp_path / "asking.html").write_text(asking)
    _, said = browse(tmp_path / "asking.html", tmp_path)
    assert any("Content Security Policy" in line for line in said)


# ---------------------------------------------------------------- the card and its warnings


def states(found):
    return {(check.what, check.state) for check in found}


def make_system(tmp_path, training=None, info=None):
    exp = tmp_path / "exp"
    (exp / "scores").mkdir(parents=True, exist_ok=True)
    (exp / "scores" / "test").touch()
    (exp / "train.json").write_text(json.dumps(training or {}))
    if info is not None:
        write_info(exp / "scores" / "test", info)
    return System.of("exp", exp / "scores" / "test")


def test_contamination_is_named(world, tmp_path):
    trials = read_trials(world / "test" / "trials")
    utt2spk = {name: name[:2] for name in trials.names}
    system = make_system(tmp_path)
    assert states(checks([system], trials, utt2spk)) == {("Training and test sets", "unknown")}
    data = tmp_path / "data" / "train"
    data.mkdir(parents=True)
    system.train_data = data
    (data / "utt2spk").write_text("s0-x-u0 s0-x-u0\nt2 t2\n")
    found = checks([system], trials, utt2spk)
    assert "1 recordings of the trials" in found[0].text and found[0].state == "warning"
    (data / "utt2spk").write_text("t1 t1\n")
    assert checks([system], trials, utt2spk)[0].state == "unknown"  # no labels of training
    labels = tmp_path / "data" / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "utt2spk").write_text("t1 s3\n")
    found = checks([system], trials, utt2spk)
    assert found[0].state == "warning" and "1 speakers are in both (s3" in found[0].text


@pytest.mark.parametrize(
    ("training", "info", "what", "state"),
    [
        ({"labels_used": "none"}, None, "Labels in training", "fine"),
        ({"labels_used": "clusters"}, None, "Labels in training", "fine"),
        ({"labels_used": "speakers"}, None, "Labels in training", "warning"),
        ({"test_list_seen": True}, None, "Test list", "warning"),
        ({"git_commit": "abc-dirty"}, None, "Code", "warning"),
        ({}, {"labels": "speakers"}, "Labels in scoring", "warning"),
        ({}, {"labels": "none"}, "Labels in scoring", "fine"),
        ({}, {"calibration": {"learned_on_test": True}}, "Test list", "warning"),
    ],
)
def test_marks_of_training_and_scoring(world, tmp_path, training, info, what, state):
    trials = read_trials(world / "test" / "trials")
    found = checks([make_system(tmp_path, training, info)], trials, None)
    assert (what, state) in states(found)


def test_a_warning_is_at_the_top_of_the_page_and_printed(world, tmp_path, capsys):
    exp = shutil.copytree(world / "good", tmp_path / "good")
    (exp / "train.json").write_text('{"labels_used": "speakers"}')
    words = command(world, "good", html=tmp_path / "r.html")
    words[words.index(str(world / "good/scores/test"))] = str(exp / "scores" / "test")
    program.main(words)
    assert "warning: True speakers were used in training." in capsys.readouterr().out
    text = (tmp_path / "r.html").read_text()
    assert text.index("True speakers were used") < text.index("<h2>Figures")


def test_the_card_shows_back_end_cohort_and_calibration(tmp_path):
    info = {
        "backend": "cosine",
        "labels": "none",
        "normalisation": {
            "kind": "as", "cohort": "train.scp", "members": "utterances", "size": 900, "top_n": 300,
        },
        "calibration": {"learned_from": "data/dev/trials"},
    }  # fmt: skip
    rows = dict(card.card_rows([make_system(tmp_path, {"wall_seconds": 3700}, info)])[1:])
    assert rows["cohort"] == "AS-norm, 900 utterances of train.scp, top 300"
    assert rows["calibrated on"] == "data/dev/trials" and rows["training time"] == "1:01:40"
    assert "centred on" not in rows  # not known of any system: no row
    assert card.card_rows([System("x", Path("s"))]) == []


def test_the_card_and_the_json_show_whitening(world, tmp_path):
    how = {"by": "zca, shrinkage 0.1", "learned_from": "train.scp", "sha256": "abc"}
    rows = dict(card.card_rows([make_system(tmp_path, {"seed": 1}, {"whitening": how})])[1:])
    assert rows["whitened"] == "zca, shrinkage 0.1, learned from train.scp"
    exp = shutil.copytree(world / "good", tmp_path / "good")
    words = command(world, "good", json=tmp_path / "r.json")
    words[words.index(str(world / "good/scores/test"))] = str(exp / "scores" / "test")
    for more, expected in (({}, "abc"), ({"normalisation": {"kind": "as"}}, None)):
        write_info(exp / "scores" / "test", {"backend": "cosine", "whitening": how, **more})
        program.main(words)
        figures = json.loads((tmp_path / "r.json").read_text())
        assert figures["systems"][0].get("whitening") == expected


def test_scores_elsewhere_name_their_embeddings_and_so_their_training(world, tmp_path):
    scores = tmp_path / "as-norm" / "scores" / "test"
    scores.parent.mkdir(parents=True)
    assert System.of("x", scores).exp is None and System.of("x", scores).embeddings is None
    embeddings = world / "good" / "embeddings" / "test.scp"
    write_info(scores, {"backend": "cosine", "embeddings": f"scp:{embeddings}"})
    found = System.of("x", scores)
    assert found.exp == world / "good" and found.embeddings == embeddings
    assert found.log == world / "good" / "train.jsonl" and "lr: 0.001" in found.configuration


def test_lists_of_voxceleb_are_recognised_by_number_and_ids():
    def trials(count, name):
        zeros = np.zeros(count, np.int32)
        return Trials(Path("t"), [name], zeros, zeros, None)

    assert list_version(trials(37611, "id10270/x/1.wav")) == "VoxCeleb1-O (cleaned)"
    assert list_version(trials(37720, "id10270/x/1.wav")) == "VoxCeleb1-O (original)"
    assert list_version(trials(579818, "id11251/x/1.wav")) == "VoxCeleb1-E (cleaned)"
    assert list_version(trials(37720, "id10001/x/1.wav")) == "-"  # not a speaker of its test set
    assert list_version(trials(579818, "id11252/x/1.wav")) == "-"  # nor of VoxCeleb1
    assert list_version(trials(37611, "spk1")) == list_version(trials(10, "id10270/x")) == "-"


# ---------------------------------------------------------------- words


def test_ties_and_perfect_systems_in_words(world):
    from sv.data.speaker_groups import speaker_groups
    from sv.scoring.evaluate import evaluate

    trials = read_trials(world / "test" / "trials")
    groups = speaker_groups(trials, {name: name[:2] for name in trials.names})
    rng = np.random.default_rng(0)
    noisy = [trials.labels + rng.standard_normal(len(trials)) for _ in range(2)]
    results = [
        evaluate(name, scores, trials, [0.05], groups=groups, resamples=60)
        for name, scores in zip("ab", noisy, strict=True)
    ]
    texts = summary(results, trials, 6)
    assert "of 6 speakers; in 36 of them both are of the same speaker" in texts[0]
    assert re.search(r"about one decision in \d\.?\d? is wrong", texts[1])
    assert "a tie" in texts[2]
    perfect = evaluate("p", trials.labels.astype(float), trials, [0.05])
    texts = summary([perfect, results[0]], trials, None)
    assert "without error" in texts[1] and "without an interval" in texts[2]
    texts = summary([results[0], evaluate("p", trials.labels * 1.0, trials, [0.05])], trials, None)
    assert "points less" in texts[2]


def test_whatever_a_name_holds_is_text():
    nasty = '<script>alert("x")</script> & "q"'
    content = report_html.Page(
        nasty, nasty, [nasty], [(nasty, nasty, nasty)], [Check(nasty, "warning", nasty)],
        [(nasty, [[nasty, nasty], [nasty, nasty]])], [nasty], [],
        [[nasty, nasty], [nasty, nasty]], [[nasty, nasty]], {nasty: nasty},
    )  # fmt: skip
    found = Reader(report_html.page(content))
    assert "script" not in found.tags and found.open == []
    assert found.text.count(nasty) > 12


def test_figures_stand_to_the_right_and_intervals_apart():
    text = report_html.table([["system", "EER %", "note"], ["a", "-1.25 [-2.00, 3.00]", "better"]])
    assert '<td class="number">−1.25<span class="span">−2.00 to 3.00</span></td>' in text
    assert "<td>better</td>" in text and '<th class="number">EER %</th>' in text


def test_the_best_figure_is_bold_wherever_it_stands(world, tmp_path):
    program.main(command(world, "other", "good", html=tmp_path / "r.html"))
    rows = re.findall(r"<tr>(.*?)</tr>", (tmp_path / "r.html").read_text())
    other, good = (
        next(r for r in rows if r.startswith(f"<td>{name}<")) for name in ("other", "good")
    )
    assert "best" not in other and good.count('class="number best"') == 3


def test_the_page_explains_its_figures_and_what_differs(several):
    text = (several / "report.html").read_text()
    assert "<h1>simclr</h1>" in text and "good, other" in text  # no recipe: the corpus is not known
    assert '<a href="#term-EER">EER %</a>' in text and '<dt id="term-EER">EER</dt>' in text
    assert '<dt id="term-loss">loss</dt>' in text
    assert "each speaker's" in text and "session 2" in text


def test_title_calibration_settings_and_surprises_in_words(world, tmp_path):
    test = tmp_path / "egs" / "mini" / "v1" / "data" / "test"
    shutil.copytree(world / "test", test)
    exps = [shutil.copytree(world / "good", tmp_path / name) for name in ("a", "b")]
    for exp, margin in zip(exps, (0.1, 0.2), strict=True):
        (exp / "config.yaml").write_text(f"method: {{margin: {margin}, symmetric: true}}\n")
    rows = [{"epoch": 1, "loss": 5.0, "chance": 4.0}, {"epoch": 2, "loss": 4.0, "chance": 4.0}]
    (exps[0] / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_info(exps[0] / "scores/test", {"calibration": {"learned_from": "data/dev/trials"}})
    words = [
        "--trials",
        str(test / "trials"),
        "--resamples",
        "0",
        "--html",
        str(tmp_path / "r.html"),
    ]
    program.main([*words, "--scores", *(str(exp / "scores/test") for exp in exps)])
    text = (tmp_path / "r.html").read_text()
    assert "<h1>simclr on mini</h1>" in text
    assert "The labels of data/dev/trials were used for the calibration" in text
    assert "<td>method.margin</td>" in text and "<td>method.symmetric</td>" not in text
    assert "The loss of a begins at 5.00, above chance (4.00). That is no fault" in text
    assert "The loss of a ends at 4.00, no better than chance" in text


# ---------------------------------------------------------------- the map


def test_neighbours_stay_neighbours():
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((3, DIM))
    ids = [f"{n % 3}-{n}" for n in range(45)]
    vectors = np.stack([voices[n % 3] + 0.1 * rng.standard_normal(DIM) for n in range(45)])
    found = embedding_map(ids, vectors)
    assert found.method == "t-SNE" and found.places.shape == (45, 2)
    distance = np.linalg.norm(found.places[:, None] - found.places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert all(n % 3 == nearest % 3 for n, nearest in enumerate(distance.argmin(1)))
    np.testing.assert_array_equal(found.places, embedding_map(ids, vectors).places)


def test_large_sets_small_sets_and_equal_vectors():
    rng = np.random.default_rng(0)
    count = TSNE_LIMIT + 2000
    vectors = rng.standard_normal((count, DIM)) * np.array([9.0, 5.0, *[0.1] * (DIM - 2)])
    found = embedding_map([str(n) for n in range(count)], vectors)
    assert found.method == "first two principal components" and len(found.ids) == 3000
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert abs(np.corrcoef(found.places[:, 0], units[[int(i) for i in found.ids], 0])[0, 1]) > 0.99
    assert embedding_map(["a", "b"], vectors[:2]) is None
    assert np.isfinite(embedding_map(list("abcde"), np.ones((5, DIM))).places).all()


def test_colours_say_speaker_and_session():
    ids = [f"{s}{u}" for s in "ab" for u in range(4)]
    places = np.random.default_rng(0).standard_normal((8, 2))
    found = embedding_map(ids, np.random.default_rng(0).standard_normal((8, DIM)))._replace(
        places=places
    )
    speakers = {name: name[0] for name in ids[:7]}  # the last is unknown
    sessions = {name: f"{name[0]}-{int(name[1]) // 2}" for name in ids}
    left, right = map_figure(found, speakers, sessions).axes
    assert [left.get_title("left"), right.get_title("left")] == ["by speaker", "by session"]
    colours = [tuple(c) for c in left.collections[-1].get_facecolors()]
    assert len(set(colours[:4])) == 1 and len(set(colours)) == 3
    colours = [tuple(c) for c in right.collections[-1].get_facecolors()]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert len(map_figure(found).axes) == 1
    both = maps_figure({"before": found, "after": found}, speakers, sessions).axes
    titles = [axes.get_title("left") for axes in both]
    assert titles[::2] == ["before, by speaker", "after, by speaker"] and len(titles) == 4


def test_maps_before_and_after(tmp_path):
    ids = [f"{s}{u}" for s in "ab" for u in range(4)]
    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as writer:
        for name, vector in zip(
            ids, np.random.default_rng(0).standard_normal((8, DIM)), strict=True
        ):
            writer.write(name, vector.astype(np.float32))
    (tmp_path / "utt2spk").write_text("".join(f"{name} {name[0]}\n" for name in ids))
    options = ["--utt2spk", str(tmp_path / "utt2spk"), "--out", str(tmp_path / "map.png")]
    map_embeddings([f"before=scp:{tmp_path}/e.scp", f"after=scp:{tmp_path}/e.scp", *options])
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="NAME=RSPECIFIER"):
        map_embeddings(["e.scp", *options])


def test_options_for_the_map_and_pictures(world, tmp_path, capsys):
    with pytest.raises(InputError, match="no such file"):
        program.main(command(world, "good", out=tmp_path / "r", embeddings="none.scp"))
    with pytest.raises(InputError, match="must end in .png or .pdf"):
        program.main(command(world, "good", det=tmp_path / "det.svg"))
    assert not (tmp_path / "r").exists()
    program.main(command(world, "good", html=tmp_path / "r.html", embeddings="none"))
    assert Reader((tmp_path / "r.html").read_text()).tags.count("svg") == 3
    # Embeddings that cannot be read cost the picture, not the report.
    exp = shutil.copytree(world / "good", tmp_path / "good")
    (exp / "embeddings" / "test.scp").write_text("a /no/such.ark:3\n")
    words = command(world, "good", html=tmp_path / "r.html")
    words[words.index(str(world / "good/scores/test"))] = str(exp / "scores" / "test")
    program.main(words)
    assert "No map of embeddings: " in (tmp_path / "r.html").read_text()
    with ArkWriter(exp / "embeddings/test.ark", exp / "embeddings/test.scp") as writer:
        for number in range(5):  # two of them broken: too few are left for a map
            vector = np.array([1.0, number if number < 3 else np.nan], np.float32)
            writer.write(f"s0-{'xy'[number % 2]}-u{number}", vector)
    program.main(words)
    assert Reader((tmp_path / "r.html").read_text()).tags.count("svg") == 3
