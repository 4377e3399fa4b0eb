"""Do two recordings come from the same speaker? Prints the cosine of their embeddings.

The cosine is between -1 and 1; a higher cosine means more similar voices. If the model directory
has a calibration, the program also prints the probability of the same speaker, and it decides. It
says "same speaker" if this costs less, on average, than saying "different speakers". The costs
depend on how often the two are the same person in your application (--prior), and on the cost of
each error (--c-miss, --c-fa).

Without calibration, or with a final.pt, the program decides only if you give --threshold. Take the
threshold at the EER from the report of stage 8, made on trials like yours.

Both recordings need some seconds of speech. If one has too little, the program says how much it has
found and ends with status 2, without a decision.

Several recordings can be compared with the enrolment at once, which saves the seconds that it takes
to load PyTorch. Each gets a line with its name. If one cannot be used, the others are compared, and
the status is 2.

Examples:
  python -m sv.bin.verify alice.wav unknown.flac --model exp/simclr/model
  python -m sv.bin.verify alice.wav unknown.flac --model exp/simclr/model --prior 0.01 --c-fa 10
  python -m sv.bin.verify alice.wav monday/*.wav --model exp/simclr/model
  python -m sv.bin.verify alice.wav unknown.flac --model exp/simclr/final.pt --threshold 0.31
"""

import json
import math
from argparse import ArgumentParser
from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import add_min_speech, parser, run
from sv.errors import InputError
from sv.files import shown
from sv.numbers import COSINE, POSITIVE, PRIOR, SCORE


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("enrolment", type=Path, help="audio of a known speaker")
    p.add_argument("tests", nargs="+", type=Path, help="audio to compare with the enrolment")
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument(
        "--threshold",
        type=SCORE,
        help='say "same speaker" if the score is at least this value; the calibration is ignored. '
        "The score is the cosine, or the AS-normalised cosine if the model has a cohort",
    )
    p.add_argument(
        "--prior",
        type=PRIOR,
        default=0.5,
        help="the probability, in your application, that a pair is from the same "
        "speaker. If it is too high, strangers are accepted; if it is too low, the "
        "speaker is rejected",
    )
    p.add_argument(
        "--c-miss", type=POSITIVE, default=1.0, help="cost of rejecting the same speaker"
    )
    p.add_argument("--c-fa", type=POSITIVE, default=1.0, help="cost of accepting another speaker")
    add_min_speech(p)
    add_channel(p)
    p.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, embed both recordings, compare."""
    args = options().parse_args(argv)

    from sv.inference.speaker_model import SpeakerModel

    model = SpeakerModel.load(args.model)
    if model.cohort is None and args.threshold is not None:
        COSINE.check(args.threshold, "--threshold")
    enrolment = model.listen(args.enrolment, args.channel, args.min_speech)
    bad = []
    for path in args.tests:
        try:
            result = _compare(model, enrolment, path, args)
        except InputError as error:
            if len(args.tests) == 1:
                raise
            bad.append(str(error))
            continue
        if len(args.tests) > 1:
            result = {"test": shown(path), **result}
        print(json.dumps(result) if args.json else _in_words(result), flush=True)
    if bad:
        raise InputError(f"{len(bad):,} of {len(args.tests):,} are not compared: {'; '.join(bad)}")


def _compare(model, enrolment, path: Path, args) -> dict:
    from sv.inference.decision import probability
    from sv.inference.speaker_model import cosine
    from sv.scoring.score_norm import as_norm_pair

    heard = model.listen(path, args.channel, args.min_speech)
    score = cosine(enrolment.vector, heard.vector)
    seconds = [round(one.speech, 2) for one in (enrolment, heard)]
    result = {"cosine": score, "speech_seconds": seconds}
    if model.cohort is not None:
        pair = [enrolment.vector, heard.vector]
        score = result["as_norm"] = as_norm_pair(score, pair, *model.cohort)
    if model.calibration is not None:
        result["llr"] = model.calibration.llr(score)
        result["prior"] = args.prior
        result["probability"] = probability(result["llr"], args.prior)
    if args.threshold is not None:
        result["same_speaker"] = score >= args.threshold
    elif model.calibration is not None:
        # Accept if the expected cost of a miss is at least that of a false alarm.
        bar = math.log(args.c_fa * (1.0 - args.prior) / (args.c_miss * args.prior))
        result["same_speaker"] = result["llr"] >= bar
    return result


def _in_words(result: dict) -> str:
    words = f"{result['test']}: " if "test" in result else ""
    words += f"{result.get('as_norm', result['cosine']):.4f}"
    if "as_norm" in result:
        words += f"  (AS-normalised; cosine {result['cosine']:.4f})"
    if "same_speaker" in result:
        words += "  same speaker" if result["same_speaker"] else "  different speakers"
    if "probability" in result:
        words += (
            f"\nprobability of the same speaker {result['probability']:.4f} at a prior of "
            f"{result['prior']:g}, log-likelihood ratio {result['llr']:.2f}"
        )
    return words


if __name__ == "__main__":
    run(main)
