"""What a round of training on pseudo-labels came to: samples that were kept, and corrected."""

import numpy as np


def round_figures(log_loss: np.ndarray, gate: float, label: np.ndarray, new: np.ndarray) -> dict:
    """Return the figures of the last epoch of a round.

    Parameters
    ----------
    log_loss: (N,) logarithm of the loss of each utterance, ∞ if it was in no batch.
    gate: its largest value that counts; ∞: there was no gate.
    label, new: (N,) the class of each utterance, and the corrected one, −1 for none.
    """
    seen = np.isfinite(log_loss)
    keep = seen & (log_loss <= gate)
    return {
        "utterances": len(label),
        "seen": int(seen.sum()),
        "classes": int(label.max()) + 1,
        "gate": float(np.exp(gate)) if np.isfinite(gate) else None,
        "kept": int(keep.sum()),
        "above_gate": int((seen & ~keep).sum()),
        "corrected": int(((new >= 0) & (new != label)).sum()),
        "confirmed": int(((new >= 0) & (new == label)).sum()),
    }


def right_labels(
    log_loss: np.ndarray,
    gate: float,
    label: np.ndarray,
    new: np.ndarray,
    speaker: np.ndarray,
    speaker_of_class: np.ndarray,
) -> dict[str, float]:
    """Return shares of right labels, for diagnosis: of all, kept, dropped and corrected samples.

    A label is right if the most frequent speaker of its class is the speaker of the utterance.

    Parameters
    ----------
    log_loss, gate, label, new: as for `round_figures`.
    speaker: (N,) true speakers.
    speaker_of_class: (classes,) the most frequent speaker of each class.
    """
    seen, right = np.isfinite(log_loss), speaker_of_class[label] == speaker
    keep, corrected = seen & (log_loss <= gate), (new >= 0) & (new != label)
    after = speaker_of_class[np.maximum(new, 0)] == speaker
    groups = {
        "right_labels": (right, seen | True),
        "right_kept": (right, keep),
        "right_above_gate": (right, seen & ~keep),
        "right_before_correction": (right, corrected),
        "right_after_correction": (after, corrected),
    }
    return {name: float(good[of].mean()) for name, (good, of) in groups.items() if of.any()}


def sentences(figures: dict) -> list[str]:
    """Return the lines that the program prints; ``figures``: of both functions above."""
    gate = "no gate" if figures["gate"] is None else f"gate {figures['gate']:.3g}"
    kept = figures["kept"] / max(1, figures["seen"])
    lines = [
        f"{figures['utterances']:,} utterances in {figures['classes']:,} classes, {gate}: "
        f"{figures['kept']:,} kept ({kept:.1%}), {figures['corrected']:,} corrected, "
        f"{figures['confirmed']:,} above the gate with a label that was confirmed"
    ]
    if "oracle_never_for_training" in figures:
        known = figures["oracle_never_for_training"]
        text = ", ".join(f"{name} {value:.4f}" for name, value in known.items())
        lines.append(f"ORACLE, from true speakers, never for training: {text}")
    return lines
