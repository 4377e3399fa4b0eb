"""Write a trained model as one ONNX or TorchScript file, from waveform to embedding.

The file needs neither this toolkit nor its features: input "waveform" (batch, samples) float32 in
[-1, 1], of any length from 25 ms on; output "embedding" (batch, dim). The sample rate, and the
calibration if there is one, stand in the file's metadata. Before it is written the graph is run
at several lengths and compared with the model (ONNX: where onnxruntime is installed).

Examples:
  python -m sv.bin.export --model exp/simclr/model --format onnx --out speaker.onnx
  python -m sv.bin.export --model exp/simclr/model --format torchscript --out speaker.ts
"""

import math
from pathlib import Path

from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and export."""
    p = parser(__doc__)
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument(
        "--format",
        choices=["onnx", "torchscript"],
        default="onnx",
        help="onnx runs in onnxruntime and most other engines, without torch; torchscript in "
        "libtorch (C++), but its makers have stopped working on it",
    )
    p.add_argument("--out", type=Path, required=True, help="file to write")
    args = p.parse_args(argv)

    from sv.export import export
    from sv.speaker_model import SpeakerModel

    worst = export(SpeakerModel.load(args.model), args.out, args.format)
    checked = (
        "not compared with the model: there is no onnxruntime here"
        if math.isnan(worst)
        else f"differs from the model by {worst:.1e} of an embedding's length"
    )
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {checked}")


if __name__ == "__main__":
    run(main)
