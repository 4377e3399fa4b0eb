"""Who of the known speakers is it, or is it none of them? Prints the most probable candidates.

The speakers are those of a gallery (`sv enroll`). The program prints the candidates with the
highest probabilities, and the probability that the voice is of nobody in the gallery. Over all
speakers and nobody, they add up to 1. --prior is the probability, before anything is heard, that
the voice is of any speaker of the gallery.

Probabilities need the calibration of a model directory. Without one, the program prints cosines,
and decides only if you give --threshold: the answer is the nearest speaker if the cosine is at
least this value.

The recording needs some seconds of speech. If it has too little, the program says how much it has
found and ends with status 2.

Examples:
  python -m sv.bin.identify unknown.wav --gallery people.safetensors --model exp/simclr/model
  python -m sv.bin.identify unknown.wav --gallery people.safetensors --model exp/simclr/model \\
      --prior 0.1 --top 3 --json
"""

import json
from argparse import ArgumentParser
from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import add_min_speech, parser, run
from sv.numbers import COSINE, COUNT, PRIOR


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("file", type=Path, help="audio of one speaker")
    p.add_argument("--gallery", type=Path, required=True, help="a file that `sv enroll` wrote")
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument("--top", type=COUNT, default=5, help="how many candidates to print")
    p.add_argument(
        "--prior",
        type=PRIOR,
        default=0.5,
        help="the probability, in your application, that the voice is of any speaker of the "
        "gallery. If it is too high, strangers get a name; if it is too low, speakers are missed",
    )
    p.add_argument(
        "--threshold",
        type=COSINE,
        help="accept the nearest speaker if the cosine is at least this value; the calibration is "
        "ignored",
    )
    add_min_speech(p)
    add_channel(p)
    p.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, embed the recording, look it up."""
    args = options().parse_args(argv)

    from sv.inference.gallery import Gallery
    from sv.inference.speaker_model import SpeakerModel
    from sv.scoring.score_norm import normalised_by

    model = SpeakerModel.load(args.model)
    gallery = Gallery.open(args.gallery, model)
    gallery.require_speakers()
    heard = model.listen(args.file, args.channel, args.min_speech)
    calibration = None if args.threshold is not None else model.calibration
    normalise = None if args.threshold is not None else normalised_by(model.cohort)
    found = gallery.identify(heard.vector, calibration, args.prior, args.top, normalise)
    name, best = found.name, found.candidates[0]
    if args.threshold is not None and best.cosine >= args.threshold:
        name = best.name
    decided = args.threshold is not None or found.none is not None
    if args.json:
        print(json.dumps(_as_object(found, name if decided else None, heard.speech)))
    else:
        print(_in_words(found, name, decided))


def _as_object(found, name: str | None, speech: float) -> dict:
    candidates = [
        {key: value for key, value in one._asdict().items() if value is not None}
        for one in found.candidates
    ]
    none = {} if found.none is None else {"none": found.none}
    return {"name": name, "candidates": candidates, **none, "speech_seconds": round(speech, 2)}


def _in_words(found, name: str | None, decided: bool) -> str:
    lines = []
    if decided:
        lines.append(name if name is not None else "none of these")
    width = max(len("none of these"), *(len(one.name) for one in found.candidates))
    for one in found.candidates:
        shown = "" if one.probability is None else f"  probability {one.probability:.4f}"
        lines.append(f"  {one.name:{width}}{shown}  cosine {one.cosine:.4f}")
    if found.none is not None:
        lines.append(f"  {'none of these':{width}}  probability {found.none:.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
