"""The README.md of a model directory: the model, its measured figures, and its limits."""

from collections.abc import Mapping

from sv.inference.model_dir import CosineCalibration, FeatureConfig
from sv.report.facts import UNKNOWN

LIMITS = """
## Limits

- The figures are valid for recordings like those of the trials. Other languages, channels or
  noise, and recordings of only a second or two, give more errors and need another calibration.
- The trials contain no attacks: synthetic, converted or replayed voices were not tested.
- Do not base a decision about a person on this model alone.
"""


def model_card(
    name: str,
    facts: Mapping[str, str],
    features: FeatureConfig,
    dim: int,
    weights: int,
    figures: Mapping | None = None,
    calibration: CosineCalibration | None = None,
    whitened: str = "",
    normalised: str = "",
) -> str:
    """Return the card as Markdown.

    ``facts``: of the training (``card.training_card``). ``dim``: length of an embedding.
    ``weights``: number of weights of the encoder. ``figures``: the content of a ``report.json``
    whose first system is ``name``. ``whitened``: the kind of whitening, if there is one.
    ``normalised``: the cohort of AS-norm, if there is one.
    """
    table = _known(facts)
    score = "normalised cosine" if normalised else "cosine"
    return f"""# {name}: a speaker encoder

This model maps a recording of speech to {dim} numbers. Recordings of one speaker have vectors of
similar direction. {_hears(features, weights, whitened, normalised)}

```python
import sv
model = sv.load("this folder")
vector = model.embed(waveform, sample_rate)  # ({dim},), any sample rate
```

```sh
sv verify alice.wav unknown.wav --model "this folder"
```

## How it was trained

| | |
|---|---|
{table}

## What was measured

{_figures(figures, score)}

## Probabilities

{_calibration(calibration, figures, score)}
{LIMITS}
## Files

`model.safetensors` (weights), `config.yaml` (encoder and features){
        ", `calibration.json`" if calibration else ""
    }. None of them contains code.
"""


def _known(facts: Mapping[str, str]) -> str:
    """Return the rows of the facts that are known."""
    known = (f"| {key} | {value} |" for key, value in facts.items() if value != UNKNOWN)
    return "\n".join(known) or "| unknown | |"


def _hears(features: FeatureConfig, weights: int, whitened: str, normalised: str) -> str:
    text = f"The encoder has {weights:,} weights. It takes audio at {features.sample_rate} Hz"
    if features.mel_bins:
        text += f"\nand {features.mel_bins} mel bands (filterbank: {features.preset})"
    text += "."
    if normalised:
        text += (
            f" Scores are cosines, AS-normalised by a cohort ({normalised}); `sv verify` does it."
        )
    return f"{text} Every embedding is whitened ({whitened})." if whitened else text


def _figures(figures: Mapping | None, score: str) -> str:
    if figures is None:
        return "Nothing was measured: no report had this model when this folder was written."
    system = figures["systems"][0]
    trials = figures["trials"]
    rows = [f"| equal error rate [95 % interval] | {_eer(system)} |"]
    rows += [f"| minDCF, p = {p} | {value:.4f} |" for p, value in system["min_dcf"].items()]
    rows.append(f"| trials (sha256) | {trials['path']} ({trials['sha256']}) |")
    threshold = system.get("eer_threshold")
    if threshold is not None:
        rows.append(f"| {score} at the equal error rate | {threshold:.4f} |")
    rows += [
        f"| the same embeddings, {kind}: equal error rate | {_eer(one)} |"
        for kind, one in system.get("kinds", {}).items()
        if one["eer"] != system["eer"]
    ]
    doubts = [check["text"] for check in figures.get("checks", ()) if check["state"] == "warning"]
    table = "\n".join(["| | |", "|---|---|", *rows])
    return "\n\n".join([table, *(f"**Warning.** {text}" for text in doubts)])


def _eer(system: Mapping) -> str:
    """Return an equal error rate with its interval."""
    span = system["intervals"].get("eer")
    text = f"{100 * system['eer']:.2f} %"
    return f"{text} [{100 * span[0]:.2f}, {100 * span[1]:.2f}]" if span else text


def _calibration(calibration: CosineCalibration | None, figures: Mapping | None, score: str) -> str:
    if calibration is None:
        return (
            "There is no calibration: this folder gives only cosines. Choose a threshold on "
            "labelled trials of your own."
        )
    text = (
        f"log-likelihood ratio = {calibration.scale:.4f} × {score} + ({calibration.offset:.4f}), "
        f"fitted on {calibration.made_on or 'unnamed trials'}."
    )
    if figures is not None and figures["trials"]["sha256"] in calibration.made_on:
        text += (
            " These are the trials of the table above. Its figures do not depend on the "
            "calibration. The quality of the probabilities was not measured."
        )
    return text
