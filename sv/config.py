"""Settings: two-level YAML becomes dataclasses, with one rule of precedence.

``group.key`` on the command line (``--set``) takes precedence over the YAML file. The file takes
precedence over the file that it names as ``base: FILE`` (a path relative to its own folder), and
that file over the default. If a file or ``--set`` chooses another ``name`` in a group, such as
another method, the settings of that group in the files below it are dropped: they belong to that
method. An unknown key is an error that names the nearest known key. A value of the wrong type is an
error, too.
"""

import dataclasses
import difflib
import hashlib
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import yaml

from sv.errors import InputError
from sv.files import atomic_write
from sv.numbers import to_float
from sv.text import read_text

LARGEST = 2.0**32
"""Largest number in a setting; infinity and NaN are errors."""

Schema = Mapping[str, type | Mapping[str, type]]
"""Group name → dataclass, or → {value of ``name`` in the group: dataclass}."""


def option(default: Any, help: str) -> Any:
    """Declare a dataclass field with a default and a help text."""
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={"help": help})
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass
class Value:
    """A setting as it was written, and its source: a file, or ``--set``."""

    value: Any
    source: str


def load(schema: Schema, path: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return ``{group: dataclass instance}`` for every group of ``schema``.

    Parameters
    ----------
    schema: the known groups.
    path: a YAML file of two levels, or None for defaults only.
    overrides: texts like ``optim.lr=0.0005``, applied in order after the file.

    Raises
    ------
    InputError: a file is missing or malformed, a key is unknown, or a value has a wrong type.
    """
    written = collect(schema, path, overrides)
    return {group: _build(schema[group], written.get(group, {}), group) for group in schema}


def collect(
    schema: Schema, path: str | Path | None, overrides: Sequence[str] = ()
) -> dict[str, dict[str, Value]]:
    """Return ``{group: {key: value and source}}`` of all settings in a file or in ``--set``."""
    written: dict[str, dict[str, Value]] = {}
    for file, groups in reversed(_chain(Path(path))) if path is not None else []:
        _check_groups(file, groups, schema)
        for group, values in groups.items():
            source = {key: Value(v, str(file)) for key, v in values.items()}
            _merge(written, group, source, schema[group])
    given: dict[str, dict[str, Value]] = {}  # all of --set are one source, in any order
    for text in overrides:
        group, key, value = _parse_override(text)
        _check_known(group, schema, f"--set {text}: group")
        given.setdefault(group, {})[key] = Value(value, f"--set {text}")
    for group, values in given.items():
        _merge(written, group, values, schema[group])
    return written


def files(path: str | Path) -> list[Path]:
    """Return the path of a file of settings and of its bases, the nearest base first."""
    return [file for file, _ in _chain(Path(path))]


def _chain(path: Path) -> list[tuple[Path, dict]]:
    """Return the paths of `files`, each with its groups; raise if they are based on each other."""
    found: list[tuple[Path, dict]] = []
    while True:
        if found and not path.is_file():
            raise InputError(f"{found[-1][0]}: base: there is no file {path}: check the path")
        raw = read_yaml(path)
        base = raw.pop("base", None)
        if base is not None and not isinstance(base, str):
            raise InputError(f"{path}: base: expected the path of a file, found {_short(base)}")
        found.append((path, raw))
        if base is None:
            return found
        path = path.parent / base
        if any(path.resolve() == known.resolve() for known, _ in found):
            raise InputError(
                f"{found[-1][0]}: base: {base}: {path} is in turn based on this file: remove one "
                "of the two lines"
            )


def _check_groups(path: Path, raw: dict, schema: Schema) -> None:
    for group, values in raw.items():
        _check_known(group, schema, f"{path}: group")
        if not isinstance(values, dict):
            raise InputError(
                f"{path}: {group}: expected indented 'key: value' lines below it, "
                f"found {_short(values)}"
            )


def _merge(
    written: dict[str, dict[str, Value]],
    group: str,
    values: dict[str, Value],
    kinds: type | Mapping[str, type],
) -> None:
    """Let the values of one source replace those of the sources before it.

    If the source chooses another name, the settings before it belong to another kind and go. The
    sources before it may not write the name because it is the default, the first of ``kinds``.
    """
    known = written.get(group, {})
    if "name" in values and isinstance(kinds, Mapping):
        former = known["name"].value if "name" in known else next(iter(kinds))
        known = known if former == values["name"].value else {}
    written[group] = known | values


def to_dict(groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings as plain nested dictionaries, fit for YAML and checkpoints."""
    return {name: dataclasses.asdict(group) for name, group in groups.items()}


def save(groups: Mapping[str, Any], path: str | Path) -> None:
    """Write the resolved settings, every default included, as YAML."""
    with atomic_write(path) as handle:
        yaml.safe_dump(to_dict(groups), handle, sort_keys=False)


WITHOUT_INFLUENCE = ("workers", "keep", "stop", "dev_every", "compile", "exact", "memory_format")
"""Settings of ``train`` that change the speed of a training, or what it keeps, not its result."""


def influential(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of a training that influence its result, the seed included.

    Settings that were added later are left out while they have the value that older trainings had.
    So the settings of an older training stay equal to those of a new one.
    """
    kept = {group: dict(values) for group, values in settings.items()}
    train, data = kept.get("train", {}), kept.get("data", {})
    for key in WITHOUT_INFLUENCE:
        train.pop(key, None)
    for values, key, former in (
        (data, "preset", "kaldi"),
        (train, "sync_batch_norm", True),
        (train, "accumulate", 1),
        (train, "positives", "span"),
    ):
        if values.get(key) == former:
            del values[key]
    return kept


def without_seed(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of `influential` without the seed: runs of all seeds have the same."""
    kept = influential(settings)
    kept.get("train", {}).pop("seed", None)
    return kept


def digest(settings: Mapping[str, Any]) -> str:
    """Return 12 hexadecimal digits that differ if any setting differs."""
    text = yaml.safe_dump(dict(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def explain(schema: Schema, path: str | Path | None, overrides: Sequence[str] = ()) -> str:
    """Return the resolved settings as YAML, with the source of every value in a comment."""
    written = collect(schema, path, overrides)
    lines = []
    for group, settings in load(schema, path, overrides).items():
        lines.append(f"{group}:")
        for key, value in dataclasses.asdict(settings).items():
            # One line, without the "..." that ends a YAML document of one value.
            text = yaml.safe_dump(value, default_flow_style=True, width=10**6).splitlines()[0]
            known = written.get(group, {}).get(key)
            lines.append(f"  {f'{key}: {text}':40}  # {known.source if known else 'default'}")
    return "\n".join(lines)


def describe(schema: Schema) -> str:
    """Return every ``group.key``, its default and its help, for ``--help``."""
    lines = []
    for group, kinds in schema.items():
        for name, kind in kinds.items() if isinstance(kinds, Mapping) else [(None, kinds)]:
            lines.append(f"{group}:" + (f"   (name: {name})" if name else ""))
            for field in dataclasses.fields(kind):
                if field.name == "name":
                    continue
                lines.append(f"  {group}.{field.name} = {_default(field)!r}")
                lines.append(f"      {field.metadata.get('help', '')}")
    return "\n".join(lines)


def _default(field: dataclasses.Field) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory()


NO_FILE = ": there is no such configuration file: check --config"


def read_yaml(path: Path, missing: str = NO_FILE) -> dict:
    """Return the groups of a YAML file as they are written; {} for an empty file.

    Raises ``InputError`` if there is no such file (``missing`` follows its path in the message), or
    if it is not a YAML mapping.
    """
    text = read_text(path, missing)
    try:
        raw = _parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected groups such as 'optim:' with keys below them")
    return raw


def _parse_override(text: str) -> tuple[str, str, Any]:
    name, equals, value = text.partition("=")
    group, dot, key = name.strip().partition(".")
    if not (equals and dot and group and key):
        raise InputError(f"--set {text}: write it as group.key=value, for example optim.lr=0.0005")
    try:
        return group, key, _parse_yaml(value)
    except ValueError as error:
        raise InputError(f"--set {text}: {value!r} is not a YAML value") from error


class _Loader(yaml.SafeLoader):
    """YAML without aliases, because ten lines with aliases can mean a list of a billion items.

    A key that occurs twice is an error; plain YAML silently takes the last one.
    """

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not used here: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        keys = [self.construct_object(key, deep=True) for key, _ in pairs]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.YAMLError(f"the key {key!r} is there twice: remove one of them")
        return super().construct_mapping(node, deep)


def _plain_numbers() -> dict:
    """Return PyYAML's rules for plain words, without its unusual numbers.

    In YAML 1.1, ``1_0.5`` is 10.5, ``1:30`` is 90 and ``010`` is 8. Nobody means that in a file of
    settings. Here they are text, which is an error in a setting that is a number.
    """
    odd = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    rules = {
        first: [(tag, pattern) for tag, pattern in found if tag not in odd]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    whole = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
    real = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|[-+]?\.inf$|\.nan$", re.I)
    for first in "-+0123456789.":
        rules.setdefault(first, [])
        rules[first] = [*rules[first], (odd[0], whole), (odd[1], real)]
    return rules


_Loader.yaml_implicit_resolvers = _plain_numbers()


def _parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; raise ``ValueError`` if it is malformed."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:  # a character that no text has
        raise ValueError(str(error)) from error
    try:
        return loader.get_single_data()
    except (yaml.YAMLError, RecursionError, ArithmeticError, LookupError, TypeError) as error:
        # A tag such as !!int on a value that is no integer raises the last three.
        raise ValueError(str(error)) from error
    finally:
        loader.dispose()


def check_known_keys(raw: Mapping, known: Sequence[str], what: str) -> None:
    """Raise ``InputError`` for the first key that is not ``known``, with the nearest known one."""
    for key in raw:
        _check_known(key, known, what)


def _check_known(name: str, known: typing.Iterable[str], what: str) -> None:
    known = list(known)
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise InputError(f"{what} {name!r} is unknown: {hint}")


def _build(kinds: type | Mapping[str, type], written: dict[str, Value], group: str) -> Any:
    kind = kinds
    values = dict(written)
    if isinstance(kinds, Mapping):
        name = values.setdefault("name", Value(next(iter(kinds)), "default"))
        _check_known(name.value, kinds, f"{name.source}: {group}.name")
        kind = kinds[name.value]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    typed = {}
    for key, written_value in values.items():
        source = written_value.source
        _check_known(key, fields, f"{source}: key {group}.{key}:")
        typed[key] = _convert(written_value.value, hints[key], f"{source}: {group}.{key}")
    try:
        return kind(**typed)
    except (InputError, ValueError) as error:  # raised by a dataclass's own __post_init__
        sources = dict.fromkeys(value.source for value in written.values())
        where = ", ".join(sources) or "defaults"
        raise InputError(f"{where}: {group}: {error}") from error


def _word(value: Any) -> Any:
    """Return a Boolean as YAML writes it, ``true`` or ``false``; all else unchanged."""
    return str(value).lower() if isinstance(value, bool) else value


def _convert(value: Any, hint: Any, where: str) -> Any:
    """Check ``value`` against a type hint; the only conversion is from an int to a float."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        if value is None and NoneType in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not NoneType), where)
    if origin is typing.Literal:
        words = {_word(argument): argument for argument in arguments}
        _check_known(_word(value), words, f"{where}: value")
        return words[_word(value)]
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise InputError(f"{where}: expected a list such as [1, 2], found {_short(value)}")
        return origin(_convert(item, arguments[0], where) for item in value)
    if hint is float and isinstance(value, str):
        value = _float_from_text(value)  # YAML 1.1 reads 1e-3, without a dot, as text
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{where}: {_short(value)} is too large") from None
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where}: expected {hint.__name__}, found {_short(value)}")
    if hint is int and value < 0:
        raise InputError(f"{where}: {_short(value)} is negative: give 0 or more")
    if hint in (int, float) and not abs(value) <= LARGEST:
        raise InputError(
            f"{where}: {_short(value)} cannot be used; the largest number is {LARGEST:g}"
        )
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


def _float_from_text(text: str) -> float | str:
    try:
        return to_float(text)
    except ValueError:
        return text
