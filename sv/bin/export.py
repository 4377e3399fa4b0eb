"""Write a trained model as one ONNX or TorchScript file, from waveform to embedding.

The file needs neither this toolkit nor its features. Its input is "waveform" (batch, samples),
float32 in [-1, 1], at least 25 ms long. Its output is "embedding" (batch, dim). The metadata of the
file contain the sample rate, and the calibration if there is one. Before the file is
written, the graph is run at several lengths and compared with the model (ONNX: only if onnxruntime
is installed).

Examples:
  python -m sv.bin.export --model exp/simclr/model --format onnx --out speaker.onnx
  python -m sv.bin.export --model exp/simclr/model --opset 20 --out speaker.onnx
  python -m sv.bin.export --model exp/simclr/model --format torchscript --out speaker.ts
"""

import math
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError
from sv.numbers import whole


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and export."""
    p = parser(__doc__)
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument(
        "--format",
        choices=["onnx", "torchscript"],
        default="onnx",
        help="onnx: runs in onnxruntime and most other engines, without torch; "
        "torchscript: runs in libtorch (C++), but the format is no longer developed",
    )
    p.add_argument("--out", type=Path, required=True, help="file to write")
    p.add_argument(
        "--opset",
        type=whole(1, 100),
        help="opset of ONNX: the default 18 runs in onnxruntime from 1.15 on, 19 from "
        "1.16, 20 from 1.17, 21 from 1.18. Choose a higher one only if a tool "
        "needs it",
    )
    args = p.parse_args(argv)
    if args.opset is not None and args.format != "onnx":
        raise InputError("--opset is only for --format onnx; leave it out")

    from sv.inference.export import OPSET, OPSETS, export
    from sv.inference.speaker_model import SpeakerModel

    opset = OPSET if args.opset is None else args.opset
    if opset not in OPSETS:
        raise InputError(f"--opset {opset}: can be {', '.join(map(str, OPSETS))}")
    worst = export(SpeakerModel.load(args.model), args.out, args.format, opset)
    checked = (
        "not compared with the model: there is no onnxruntime here"
        if math.isnan(worst)
        else f"differs from the model by {worst:.1e} of an embedding's length"
    )
    runs = f", for onnxruntime from {OPSETS[opset]} on" if args.format == "onnx" else ""
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB{runs}, {checked}")


if __name__ == "__main__":
    run(main)
