"""The blocks of docs/add_a_corpus.md are run, in order, as a reader would."""

import inspect
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.whole


def blocks(text):
    """Return (language, code) of the fenced blocks in bash and Python."""
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def write_audio(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(str(path).encode()))  # no file is a copy of another
    soundfile.write(path, rng.normal(0, 0.1, 8000), 16000)


def make_corpora(corpus):
    """Write the corpus of section 1 and, in the same folder, the one of section 3."""
    rows = ["file,speaker,session,set\n"]
    for speaker, which in (("ann", "test"), ("bob", "test"), ("cy", "train"), ("di", "train")):
        for session in ("a", "b"):
            write_audio(corpus / "tree" / speaker / session / "1.flac")
            write_audio(corpus / "wav" / f"{speaker}{session}.wav")
            rows.append(f"{speaker}{session}.wav,{speaker},{session},{which}\n")
    (corpus / "meta.csv").write_text("".join(rows))
    (corpus / "tree" / "trials").write_text("1 ann-a-1 ann-b-1\n0 ann-a-1 bob-a-1\n")


def test_every_block_of_the_guide_runs(root, tmp_path):
    make_corpora(tmp_path / "corpora")
    found = blocks((root / "docs" / "add_a_corpus.md").read_text())
    assert [language for language, _ in found] == ["bash", "python", "bash", "python", "bash"]
    environment = os.environ | {
        "PATH": f"{root / 'utils'}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "SV_INTERPRETER": sys.executable,
    }
    corpus = tmp_path / "corpus"
    corpus.symlink_to(tmp_path / "corpora" / "tree")
    for number, (language, code) in enumerate(found):
        command = ["bash", "-euo", "pipefail", "-c", code]
        if language == "python":
            (tmp_path / "prepare.py").write_text(code)
            command = [sys.executable, "prepare.py"]
        if number == 1:  # the program of section 3 is called by the block after it
            corpus.unlink()
            corpus.symlink_to(tmp_path / "corpora")
            continue
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"

    for data in ("data", "data2"):
        labels = (tmp_path / data / "labels" / "train" / "utt2spk").read_text()
        assert labels == "cy-a-cya cy\ncy-b-cyb cy\ndi-a-dia di\ndi-b-dib di\n"
    assert len((tmp_path / "data" / "test" / "trials").read_text().splitlines()) == 6


def test_the_files_named_in_data_flow_exist(root):
    text = (root / "docs" / "data_flow.md").read_text()
    named = set(re.findall(r"\b(?:sv|local|utils|egs)/[\w/]+(?:\.py|\.sh)?(?![\w/])", text))
    assert len(named) > 30
    assert not [name for name in sorted(named) if not (root / name).exists()]


def test_the_guide_states_the_signature_of_read_headers(root):
    from sv.data.audio_headers import read_headers

    text = " ".join((root / "docs" / "add_a_corpus.md").read_text().split())
    for name, parameter in inspect.signature(read_headers).parameters.items():
        kind = re.sub(r"[\w.]+\.(\w+)", r"\1", str(parameter.annotation))
        assert f"{name}: {kind}" in text or f"{name}: {parameter.annotation.__name__}" in text
