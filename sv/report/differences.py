"""The settings in which trainings differ, and a training whose loss surprises, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from sv.report.facts import UNKNOWN

Settings = Mapping[str, Mapping[str, Any]]


def differing_names(all_settings: Sequence[Settings]) -> list[str]:
    """Return the settings, as ``group.key``, that are not equal in all; a missing one differs."""
    names = dict.fromkeys(
        f"{group}.{key}" for groups in all_settings for group in groups for key in groups[group]
    )
    return [name for name in names if len({str(value_of(s, name)) for s in all_settings}) > 1]


def value_of(settings: Settings, name: str) -> object:
    """Return the value of ``group.key``; None if the settings do not have it."""
    group, _, key = name.partition(".")
    return settings.get(group, {}).get(key)


def as_words(value: object) -> str:
    """Return a value as YAML writes it; ``-`` for None."""
    return (
        UNKNOWN if value is None else str(value).lower() if value in (True, False) else str(value)
    )


def setting_rows(systems: Mapping[str, Settings]) -> list[list[str]]:
    """Return the settings that differ between named trainings, header first; [] if none differs."""
    names = differing_names(list(systems.values()))
    rows = [[name, *(as_words(value_of(s, name)) for s in systems.values())] for name in names]
    return [["setting", *systems], *rows] if rows else []


def surprises(name: str, epochs: Sequence[Mapping[str, float]]) -> list[str]:
    """Return sentences on a loss that surprises beside chance; ``epochs``: rows of a log."""
    if not epochs or any("chance" not in row or "loss" not in row for row in epochs):
        return []
    first, last, found = epochs[0], epochs[-1], []
    if first["loss"] > 1.02 * first["chance"]:
        found.append(
            f"The loss of {name} begins at {first['loss']:.2f}, above chance "
            f"({first['chance']:.2f}). That is no fault: chance is the loss of embeddings that are "
            "all alike. A new network's embeddings differ at random, and a low temperature or a "
            "margin makes these differences count."
        )
    if last["loss"] > 0.995 * last["chance"]:
        found.append(
            f"The loss of {name} ends at {last['loss']:.2f}, no better than chance "
            f"({last['chance']:.2f}): the training has not learned its task yet; train longer, or "
            "look at positive_cosine and negative_cosine."
        )
    return found
