"""Recipes use the data, features and banks of another recipe of the same corpus (`--data`)."""

import os
import shutil

import pytest
import test_shell

pytestmark = pytest.mark.whole

clone, shell = test_shell.clone, test_shell.shell


@pytest.fixture
def recipe(clone, tmp_path):
    """A function that runs stages 0 to 2 of a recipe; its stage scripts only record calls."""
    made = {"custom": "train", "voxceleb": "train voxceleb1 trials musan", "mini": "train test"}
    for corpus, sets in made.items():
        for version in ("v1", "v2", "v3", "v4", "v5"):
            folder = clone / "egs" / corpus / version
            shutil.rmtree(folder / "data", ignore_errors=True)
            if version == "v1":
                for name in sets.split():
                    for place in (f"data/{name}", f"data/labels/{name}", f"fbank/{name}", "banks"):
                        (folder / place).mkdir(parents=True, exist_ok=True)

    def run(name, *words, status=0):
        (tmp_path / "calls").unlink(missing_ok=True)
        words = ["--stop-stage", 2, *words]
        done = shell(clone / "egs" / name / "run.sh", *words, cwd=tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
        run.said = done.stdout + done.stderr
        return test_shell.programs(tmp_path)

    run.folder = clone / "egs"
    return run


def test_what_the_first_recipe_made_serves_the_others(recipe):
    (recipe.folder / "custom" / "v1" / "data" / "test").mkdir()
    recipe("custom/v1", "--corpus", "/c", "--noise", "/musan")
    assert recipe("custom/v2", "--corpus", "/c") == []
    for what in ("data", "features", "banks"):
        assert f"\n{what} of ../v1: nothing to do (made with " in recipe.said
    assert "corpus=/c group_speakers=false" in recipe.said and "noise=/musan" in recipe.said
    folder = recipe.folder / "custom" / "v2"
    assert os.readlink(folder / "data" / "train") == "../../v1/data/train"
    assert (folder / "data" / "labels" / "train").is_dir() and (folder / "banks").is_dir()
    assert recipe("custom/v3") == []  # options that are not given do not matter
    # Trials of v4 are its own, beside those that they are made of.
    assert recipe("custom/v4") == ["mix_trials.sh"]
    assert not (recipe.folder / "custom" / "v4" / "data").is_symlink()


def test_data_that_were_made_with_other_options_are_not_taken(recipe):
    recipe("custom/v1", "--corpus", "/c")
    assert recipe("custom/v2", "--corpus", "/d")[0] == "prepare_folder.sh"
    assert "data of ../v1 not used: they were made with --corpus '/c', and this" in recipe.said
    recipe("custom/v3", "--data", "../v1", "--wave", "true", status=2)
    assert "v1: they were made with --wave 'false', and this run wants 'true'" in recipe.said


def test_a_recipe_stays_with_the_data_it_has(recipe):
    recipe("custom/v1", "--corpus", "/c")
    recipe("custom/v2")
    recipe("custom/v2", "--corpus", "/d", status=2)
    assert "the data here are those of ../v1; they were made with --corpus '/c'" in recipe.said
    assert "prepare_folder.sh" in recipe("custom/v2", "--corpus", "/d", "--data", "own")
    assert not (recipe.folder / "custom/v2/data/train").exists()
    assert (recipe.folder / "custom/v1/data/train").is_dir()

    recipe("custom/v2", "--data", "../v1", status=2)
    assert "has data, features or banks of its own: move them away first" in recipe.said
    assert "prepare_folder.sh" in recipe("custom/v2", "--corpus", "/c")


def test_half_made_data_are_not_taken(recipe):
    recipe("mini/v1", "--stop-stage", 1)
    recipe("mini/v3", "--data", "../v1", status=2)
    assert "v1: its banks are not complete: run stages 0 to 2 there" in recipe.said
    recipe("mini/v3", "--data", "../v7", status=2)
    assert "v7: there is no such recipe folder" in recipe.said
    assert recipe("mini/v2")[0] == "make_corpus.sh"
    recipe("mini/v1")
    assert recipe("mini/v3") == []
    # Other data make what was made of the former ones incomplete.
    recipe("mini/v1", "--stop-stage", 0, "--force", "true")
    recipe("mini/v4", "--data", "../v1", status=2)
    assert "its features are not complete" in recipe.said


def test_features_with_another_number_of_bands_are_not_taken(recipe):
    (recipe.folder / "voxceleb" / "v1" / "corpus").mkdir()
    recipe("voxceleb/v1")
    assert recipe("voxceleb/v2") == []
    assert "features of ../v1: nothing to do (made with num_mel_bins=40 " in recipe.said
    recipe("voxceleb/v2", "--method", "dino", status=2)
    sentence = "they were made with --num-mel-bins '40', and this run wants the default"
    assert f"the data here are those of ../v1; {sentence}" in recipe.said
    assert "prepare.sh" in recipe("voxceleb/v3")
    assert f"data of ../v1 not used: {sentence}" in recipe.said
    # Converted files and downloads are those of v1 all the same.
    assert os.readlink(recipe.folder / "voxceleb" / "v3" / "corpus") == "../v1/corpus"
    assert recipe("voxceleb/v4") == ["mix_trials.sh"]
    assert "features of ../v3: nothing to do (made with wave=false" in recipe.said


def test_features_of_a_folder_have_the_bands_of_the_settings(recipe):
    recipe("custom/v1", "--corpus", "/c", "--num-mel-bins", 40)
    assert recipe("custom/v2", "--data", "../v1", "--num-mel-bins", 40) == []
    recipe("custom/v3", "--data", "../v1", status=2)
    assert "v1: they were made with --num-mel-bins '40', and this run wants the d" in recipe.said


def test_data_are_found_through_a_recipe_that_uses_those_of_another(recipe):
    recipe("mini/v1")
    recipe("mini/v2")
    assert recipe("mini/v3", "--data", "../v2") == []
    assert "features of ../v1: nothing to do" in recipe.said


def test_links_to_a_folder_that_is_gone_are_replaced(recipe):
    recipe("mini/v1")
    recipe("mini/v2")
    shutil.rmtree(recipe.folder / "mini" / "v1")
    assert recipe("mini/v2")[0] == "make_corpus.sh"
    assert not (recipe.folder / "mini/v2/data/.from").is_symlink()
