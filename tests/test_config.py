from dataclasses import dataclass
from typing import Literal

import pytest

from sv import config
from sv.config import option
from sv.errors import InputError
from sv.training.experiment import Experiment


@dataclass
class Optim:
    lr: float = option(0.001, "step size")
    steps: int = option(5, "how many")
    schedule: Literal["step", "cosine"] = option("step", "shape")
    clip: float | None = option(None, "norm")
    sizes: list[int] = option([1, 2], "sizes")
    fast: bool = option(False, "speed")


@dataclass
class Small:
    name: str = "small"
    channels: int = option(8, "width")


@dataclass
class Large:
    name: str = "large"
    layers: int = option(3, "depth")

    def __post_init__(self):
        if self.layers < 1:
            raise ValueError(f"layers must be at least 1, not {self.layers}")


SCHEMA = {"optim": Optim, "model": {"small": Small, "large": Large}}


def write(tmp_path, text):
    path = tmp_path / "a file.yaml"
    path.write_text(text)
    return path


def test_set_beats_file_beats_default(tmp_path):
    path = write(tmp_path, "optim:\n  lr: 1e-2\n  steps: 7\n")
    optim = config.load(SCHEMA, path, ["optim.steps=9"])["optim"]
    assert (optim.lr, optim.steps, optim.schedule) == (0.01, 9, "step")


def test_the_name_of_a_group_chooses_its_keys(tmp_path):
    path = write(tmp_path, "model: {name: large, layers: 4}")
    assert config.load(SCHEMA, path)["model"] == Large(layers=4)
    assert config.load(SCHEMA, None)["model"] == Small()


def test_saved_settings_load_as_the_same(tmp_path):
    groups = config.load(SCHEMA, None, ["optim.sizes=[3]", "optim.clip=3", "model.name=large"])
    config.save(groups, tmp_path / "out.yaml")
    assert config.load(SCHEMA, tmp_path / "out.yaml") == groups
    assert config.digest(config.to_dict(groups)) != config.digest(
        config.to_dict(config.load(SCHEMA, None))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim: {learning_rate: 1}", "optim.learning_rate.*unknown: known: lr"),
        ("optim: {step: 1}", "did you mean 'steps'"),
        ("optm: {lr: 1}", "did you mean 'optim'"),
        ("optim: {lr: fast}", "optim.lr: expected float, found 'fast'"),
        ("optim: {steps: 1.5}", "optim.steps: expected int"),
        ("optim: {steps: true}", "optim.steps: expected int, found True"),
        ("optim: {fast: 1}", "optim.fast: expected bool"),
        ("optim: {schedule: cosin}", "did you mean 'cosine'"),
        ("optim: {sizes: 3}", "expected a list"),
        ("optim: {sizes: [a]}", "optim.sizes: expected int"),
        ("optim: 3", "expected indented"),
        ("optim:\n  lr: 1\n  lr: 2", "the key 'lr' is there twice"),
        ("optim:\n  lr: 1\noptim:\n  steps: 2", "the key 'optim' is there twice"),
        ("!!map optim", "not valid YAML"),
        ("- a", "expected groups"),
        ("optim: {lr: [", "not valid YAML"),
        ("model: {name: lage}", "did you mean 'large'"),
        ("model: {name: large, channels: 3}", "model.channels.*unknown"),
        ("model: {name: large, layers: 0}", "layers must be at least 1"),
        ("optim: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_bad_yaml_gets_a_plain_sentence(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        config.load(SCHEMA, write(tmp_path, text))
    assert "a file.yaml" in str(error.value)


@pytest.mark.parametrize("text", ["lr=1", "optim.lr", "optim.=1", "x.y=1", "optim.lr=["])
def test_bad_override(text):
    with pytest.raises(InputError, match="--set"):
        config.load(SCHEMA, None, [text])


def test_missing_file():
    with pytest.raises(InputError, match="no such configuration file"):
        config.load(SCHEMA, "nowhere.yaml")


def test_every_option_is_described():
    text = config.describe(SCHEMA)
    assert "optim.lr = 0.001" in text and "step size" in text
    assert "name: large" in text and "model.layers = 3" in text


def chain(tmp_path, **texts):
    """Write files of settings; return the path of the first."""
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path / f"{next(iter(texts))}.yaml"


def test_a_file_beats_its_base(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/base.yaml").write_text("optim: {lr: 0.1, steps: 7}\n")
    path = chain(tmp_path, leaf="base: conf/base.yaml\noptim: {steps: 8}\n")
    optim = config.load(SCHEMA, path, ["optim.fast=true"])["optim"]
    assert (optim.lr, optim.steps, optim.fast, optim.schedule) == (0.1, 8, True, "step")
    assert config.files(path) == [path, tmp_path / "conf/base.yaml"]


def test_another_name_starts_a_group_anew(tmp_path):
    path = chain(
        tmp_path,
        leaf="base: middle.yaml\nmodel: {name: large}\n",
        middle="base: root.yaml\nmodel: {channels: 4}\n",
        root="model: {name: small, channels: 2}\noptim: {steps: 9}\n",
    )
    groups = config.load(SCHEMA, path)
    assert groups["model"] == Large() and groups["optim"].steps == 9
    assert config.load(SCHEMA, tmp_path / "middle.yaml")["model"] == Small(channels=4)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        ("base: other.yaml", "other.yaml.*leaf.yaml.*in turn based on"),
        ("base: nowhere.yaml", "leaf.yaml: base: there is no file .*nowhere.yaml"),
        ("base: 3", "leaf.yaml: base: expected the path"),
    ],
)
def test_a_bad_base_gets_a_plain_sentence(tmp_path, leaf, message):
    path = chain(tmp_path, leaf=f"{leaf}\n", other="base: leaf.yaml\n")
    with pytest.raises(InputError, match=message):
        config.load(SCHEMA, path)


def test_an_error_names_the_file_that_has_it(tmp_path):
    path = chain(tmp_path, leaf="base: root.yaml\n", root="optim: {lr: fast}\n")
    with pytest.raises(InputError, match=r"root.yaml: optim.lr: expected float"):
        config.load(SCHEMA, path)


def test_the_explanation_names_each_source_and_is_settings_itself(tmp_path):
    path = chain(
        tmp_path,
        leaf="base: root.yaml\noptim: {steps: 8}\n",
        root="optim: {lr: 0.1, clip: null}\n",
    )
    text = config.explain(SCHEMA, path, ["optim.fast=true"])
    found = dict(line.strip().split("  # ") for line in text.splitlines() if "#" in line)
    sources = {line.split(":")[0]: source for line, source in found.items()}
    assert sources["lr"] == f"{tmp_path}/root.yaml" and sources["steps"] == f"{path}"
    assert sources["fast"] == "--set optim.fast=true" and sources["sizes"] == "default"
    (tmp_path / "again.yaml").write_text(text)
    assert config.load(SCHEMA, tmp_path / "again.yaml") == config.load(
        SCHEMA, path, ["optim.fast=true"]
    )


@pytest.mark.parametrize(
    "text",
    ["optim.momentum=1.5", "optim.weight_decay=-1", "optim.clip_norm=-1", "optim.step_factor=0"]
    + ["optim.warmup_epochs=-2", "train.keep=-1", "train.epochs=-1", "model.channels=-4"]
    + ["model.channels=0", "model.embedding_dim=0", "augment.noise_snr=[.nan, 3]"]
    + ["data.crop_seconds=.inf", "train.seed=-3"],
)
def test_settings_outside_their_range_are_named(text):
    group, _, key = text.partition("=")[0].partition(".")
    with pytest.raises(InputError, match=f"{group}.*{key}|{key} must"):
        Experiment.load(None, [text])


def test_another_name_drops_the_settings_of_the_default_kind(tmp_path):
    """A file that does not write the name, because it is the default, has settings of that kind."""
    path = write(tmp_path, "model: {channels: 3}")
    assert config.load(SCHEMA, path)["model"] == Small(channels=3)
    assert config.load(SCHEMA, path, ["model.name=large"])["model"] == Large()
    for words in (["model.name=large", "model.layers=5"], ["model.layers=5", "model.name=large"]):
        assert config.load(SCHEMA, path, words)["model"] == Large(layers=5)


def test_runs_of_two_seeds_have_the_same_digest_without_the_seed():
    def settings(seed, workers):
        return {"optim": {"lr": 0.1}, "train": {"seed": seed, "workers": workers, "epochs": 3}}

    digests = {config.digest(config.without_seed(settings(seed, seed))) for seed in range(3)}
    assert len(digests) == 1
    assert config.influential(settings(1, 2))["train"] == {"seed": 1, "epochs": 3}
    assert settings(1, 2)["train"]["seed"] == 1
