"""Pictures: what is drawn where, and that the files are whole."""

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.stats import norm

from sv.report import plots
from sv.scoring import metrics


def make(distance, count=4000, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2 == 0
    return metrics.sort_classes(generator.standard_normal(count) + distance * labels, labels)


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


def test_det_curve_of_normal_scores_is_a_straight_line():
    """The reason for normal-deviate axes: P_miss = -d - P_fa in deviates, d the distance."""
    figure = plots.det_figure({"a": make(2.0, 200_000)})
    line = next(line for label, line in lines(figure).items() if label.startswith("a: EER"))
    x, y = line.get_data()
    middle = (x > norm.ppf(0.01)) & (x < norm.ppf(0.5))
    assert middle.sum() > 100
    np.testing.assert_allclose(y[middle], -2.0 - x[middle], atol=0.05)


def test_every_system_has_a_curve_and_its_marks_at_its_operating_points():
    systems = {"good": make(3.0), "bad": make(0.5)}
    figure = plots.det_figure(systems, [0.05, 0.1])
    labels = list(lines(figure))
    for name, classes in systems.items():
        point = metrics.eer_point(classes)
        assert f"{name}: EER {100 * point.value:.2f} %" in labels
    drawn = [line.get_xydata()[0] for line in figure.axes[0].lines if len(line.get_xydata()) == 1]
    for classes in systems.values():
        for point in [metrics.eer_point(classes), metrics.min_dcf_point(classes, 0.05)]:
            here = norm.ppf([point.p_fa, point.p_miss])
            if np.isfinite(here).all():
                assert np.min(np.abs(np.array(drawn) - here).sum(1)) < 1e-6
    low, high = figure.axes[0].get_xlim()
    assert all(low <= x <= high and low <= y <= high for x, y in drawn)


@pytest.mark.parametrize("distance", [0.0, 50.0, -50.0])
def test_extreme_systems_can_be_drawn(tmp_path, distance):
    classes = make(distance, 60)
    plots.save(plots.det_figure({"x": classes}), tmp_path / "det.png")
    plots.save(plots.histogram_figure({"x": classes}), tmp_path / "scores.png")
    for name in ("det.png", "scores.png"):
        image = imread(tmp_path / name)
        assert image.shape[0] > 300 and image[..., :3].std() > 0.01


def test_equal_scores_can_be_drawn(tmp_path):
    classes = metrics.sort_classes(np.ones(10), np.arange(10) % 2)
    plots.save(plots.histogram_figure({"x": classes}), tmp_path / "scores.png")
    plots.save(plots.det_figure({"x": classes}), tmp_path / "det.png")
    assert (tmp_path / "det.png").stat().st_size > 1000


def test_histogram_areas_are_one_and_the_threshold_is_the_eer():
    classes = make(2.0)
    axes = plots.histogram_figure({"x": classes}).axes[0]
    point = metrics.eer_point(classes)
    threshold = next(line for line in axes.lines if "EER" in line.get_label())
    assert threshold.get_xdata()[0] == pytest.approx(point.threshold)
    for patch in axes.patches:
        values, edges, _ = patch.get_data()
        assert np.sum(values * np.diff(edges)) == pytest.approx(1.0)


def test_thinning_keeps_the_ends_and_the_shape():
    curve = metrics.det_points(make(2.0, 50_000))
    p_fa, p_miss = plots.thin(curve, 500)
    assert len(p_fa) <= 500 < len(curve.p_fa)
    assert (p_fa[0], p_miss[0]) == (1.0, 0.0) and (p_fa[-1], p_miss[-1]) == (0.0, 1.0)
    points = set(zip(curve.p_fa, curve.p_miss, strict=True))
    assert points.issuperset(zip(p_fa, p_miss, strict=True))
    x, y = norm.ppf(p_fa), norm.ppf(p_miss)
    middle = (p_fa > 0.01) & (p_fa < 0.6)
    assert np.max(np.hypot(np.diff(x[middle]), np.diff(y[middle]))) < 0.1


def test_histogram_without_a_finite_score():
    figure = plots.histogram_figure({"x": metrics.Classes(np.full(3, np.inf), np.full(3, -np.inf))})
    assert "no finite score" in figure.axes[0].get_legend_handles_labels()[1][0]


def test_curves_show_each_figure_of_the_log():
    rows = [
        {"epoch": 1, "loss": 2.0, "note": "text"},
        {"epoch": 2, "loss": 1.0, "lr": 0.1, "note": "text"},
    ]
    figure = plots.curves_figure({"a": rows})
    assert [axes.get_title() for axes in figure.axes] == ["loss", "lr"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [2.0, 1.0]


def test_curves_of_several_trainings_share_their_panels():
    logs = {
        "a": [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}],
        "b": [{"epoch": 1, "loss": 3.0, "rank": 5.0}],
    }
    figure = plots.curves_figure(logs)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "rank"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["a", "b"]
    assert np.isnan(figure.axes[1].lines[0].get_ydata()).all()
    assert len(figure.legends[0].get_texts()) == 2


def test_every_system_has_its_panel_of_scores():
    figure = plots.histogram_figure({"a": make(1.0), "b": make(3.0)})
    assert [axes.get_xlabel() for axes in figure.axes] == ["score of a", "score of b"]


def test_pictures_are_png_or_pdf_and_the_same_each_time(tmp_path):
    for form, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        content = []
        for number in range(2):
            path = tmp_path / f"{number}{form}"
            plots.save(plots.det_figure({"x": make(1.0, 60)}), path)
            content.append(path.read_bytes())
        assert content[0].startswith(magic) and content[0] == content[1]


def test_systems_can_be_told_apart():
    looks = [tuple(plots.series(number).values()) for number in range(18)]
    assert len(set(looks)) == 18


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "det.png"
    path.write_bytes(b"old")
    figure = plots.det_figure({"x": make(1.0)})

    def fail(handle, **options):
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError):
        plots.save(figure, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
