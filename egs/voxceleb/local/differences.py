"""Print the table of systems of ../README.md: published figures, and what still differs.

The differences are found, not remembered: the settings of every row, as training resolves them, and
the defaults of the recipes' options are compared with what the authors ran (published.py). With
--write true the table is put into ../README.md, between its two marks.

Example:
  python egs/voxceleb/local/differences.py --write true
"""

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent
sys.path[:0] = [str(HERE), str(CORPUS.parents[1])]

from published import RECONSTRUCTED, ROWS, SOURCES, Either, Row  # noqa: E402

from sv.cli import parser, run  # noqa: E402
from sv.crops.banks import ROOM_SECONDS  # noqa: E402
from sv.errors import InputError  # noqa: E402
from sv.files import atomic_write  # noqa: E402
from sv.training.experiment import Experiment  # noqa: E402

BEGIN = "<!-- made by local/differences.py --write true; do not edit -->\n"
END = "<!-- end of what local/differences.py made -->\n"
SAID = {
    "data.domain": "Augmentation works on log-mel features, theirs on waveforms (`--wave true`, "
    "`data.domain: wave`).",
    "data.preset": "The filterbank is Kaldi's, theirs is `{theirs}` (`--preset {theirs}`, "
    "`data.preset: {theirs}`).",
    "train.precision": "On GPUs training computes in bfloat16, theirs in float32 "
    "(`train.precision: float32`).",
    "max_rooms": "10,000 of the 60,000 simulated rooms are used, spread evenly, theirs are all "
    "(`--max-rooms 0`).",
    "room_seconds": f"A room's response is cut to {ROOM_SECONDS:g} s from its direct sound on, "
    "theirs is whole (`--room-seconds 0`).",
    "crops": "Whole utterances are scored; their figure is the mean of 10 x 10 cosines of crops of "
    "3.5 s (`--crops 10` gives both).",
}
"""Differences in words; other differences are shown as names and values."""


def main(argv: list[str] | None = None) -> None:
    """Print the table, or put it into the README."""
    p = parser(__doc__)
    p.add_argument(
        "--write", choices=["true", "false"], default="false", help="put it into ../README.md"
    )
    args = p.parse_args(argv)
    text = table()
    if args.write == "false":
        print(text, end="")
        return
    path = CORPUS / "README.md"
    page = path.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise InputError(f"{path}: has no two marks to put the table between: {BEGIN}and {END}")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    with atomic_write(path) as handle:
        handle.write(f"{before}{BEGIN}{text}{END}{after}")


def table() -> str:
    """Return the table, the list of differences that it refers to, and the sources."""
    numbers: dict[str, int] = {}
    lines = ["| configuration | method | encoder | published EER % | differs in |"]
    lines.append("|---|---|---|---|---|")
    for row in ROWS:
        own = [numbers.setdefault(text, len(numbers) + 1) for text in differences(row)]
        told = " ".join(f"d{number}" for number in sorted(own)) or "nothing to compare with"
        figures = row.figures or "none known to us"
        lines.append(f"| `{row.config}` | {row.method} | {row.encoder} | {figures} | {told} |")
    lines += ["", "What still differs from the authors' runs:", ""]
    lines += [f"- **d{number}** {text}" for text, number in numbers.items()]
    lines += ["", "Rows as published are run with these options:", "", "```sh"]
    lines += [command(row) for row in ROWS if row.more]
    lines += ["```", "", "Sources:", ""]
    lines += [f"- [{number}] {text}" for number, text in SOURCES.items()]
    lines.append("- † trained on VoxCeleb1 dev: `--train-set voxceleb1 --lists o`.")
    return "\n".join(lines) + "\n"


def command(row: Row) -> str:
    """Return the command of a row as published."""
    version, _, file = row.config.split("/")
    stem = file.removesuffix(".yaml")
    which = f"--config conf/{file}" if version == "v1" else f"--method {stem}"
    return f"egs/voxceleb/{version}/run.sh {which} {row.more}"


def differences(row: Row) -> list[str]:
    """Return in words how a row differs from what its authors did."""
    if not row.settings:
        return []
    ours = Experiment.load(CORPUS / row.config).to_dict()
    found = []
    for key, theirs in row.settings.items():
        part, name = key.split(".")
        found.append(_difference(key, ours[part].get(name), theirs))
    given = defaults(row.config.split("/")[0]) | options_of(row.more)
    for name, theirs in row.options.items():
        found.append(_difference(name, given[name], theirs))
    return [text for text in found if text] + of_the_code(row, ours)


def _difference(key: str, ours: Any, theirs: Any) -> str | None:
    if isinstance(theirs, Either):
        if ours == theirs.value:
            return f"`{key}` is {ours:,} as in the paper; {theirs.where} it is {theirs.other}."
        theirs = theirs.value
    if ours == theirs:
        return None
    words = SAID.get(key)
    # The words describe the usual difference; any other value is shown as it is.
    if words and ours in ("fbank", "kaldi", "auto", "10000", ""):
        return words.format(theirs=theirs)
    return f"`{key}` is {ours}, theirs {theirs}."


def of_the_code(row: Row, ours: dict[str, dict[str, Any]]) -> list[str]:
    """Return the differences that no setting changes."""
    version = row.config.split("/")[0]
    found = []
    if row.options and "last" not in row.options:
        found.append(
            "The final model is the mean of the last 10 epochs; which one theirs is was not known "
            "to us. No checkpoint is picked on a test list."
        )
    if version == "v2":
        found.append(
            "An utterance has one entry in SSPS's queue. In theirs it has two for a while around "
            "the end of an epoch, and with M = 0 an anchor may draw itself."
        )
    if version == "v2" and ours["method"]["name"] == "dino":
        found.append(
            "DINO's memory of positives holds the two unit vectors before the last layer, not its "
            "outputs: 51 MB in the place of 13 GB. The last layer of the moment is applied to them."
        )
    if ours["method"]["name"] in ("rdino", "sdpn"):
        found.append(
            "The learning rate ends at 0, theirs at 1e-5. Short crops start anywhere; theirs are "
            "the halves of two long ones. Their settings of augmentation were not known to us."
        )
    if ours["method"]["name"] == "rdino":
        found.append(
            "Where the regularised layer of 8,192 stands in the head, and the teacher's "
            "temperature, are ours. The term's half of the teacher, which has no gradient, is left "
            "out."
        )
    if ours["method"]["name"] == "sdpn":
        found.append("The prototypes have the weight decay of all matrices; theirs have none.")
    if ours["method"]["name"] == "simsiam":
        found.append(
            "The learning rate of SimSiam's predictor follows the schedule; theirs is constant."
        )
    if version == "v3":
        found.append("VoxCeleb2 dev has 5,994 speakers; theirs were 5,894.")
        if ours["method"]["name"] != "aam":
            found.append("The clusters of CHNS are those of cosines.")
    for name in dict.fromkeys([ours["method"]["name"], Path(row.config).stem]):
        if name in RECONSTRUCTED:
            found.append(RECONSTRUCTED[name])
    return found


@cache
def defaults(version: str) -> dict[str, str]:
    """Return the options of a recipe with their defaults, {name: value}."""
    found: dict[str, str] = {}
    texts = (CORPUS.parents[1] / "utils/recipe.sh", HERE / "corpus.sh", CORPUS / version / "run.sh")
    for path in texts:
        text = path.read_text(encoding="utf-8")
        head = text.partition('/utils/parse_options.sh"')[0].partition("\nmake_data()")[0]
        found |= dict(re.findall(r"^([a-z]\w*)=(\S*)[ \t]+#", head, re.M))
    return found


def options_of(words: str) -> dict[str, str]:
    """Return the options of a command line, {name: value}."""
    return {name.replace("-", "_"): value for name, value in re.findall(r"--(\S+) (\S+)", words)}


if __name__ == "__main__":
    run(main)
