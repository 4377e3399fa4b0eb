"""Separate the speakers of a recording, and embed each of them.

The model must have a separative encoder (recipe v4). The program writes to --out, loudest source
first:
  source1.wav, source2.wav, ...   the masked mixtures, with the mixture's phase
  embeddings.ark, embeddings.scp  one vector for each source, under the names source1, ...
  separation.png                  spectra of the mixture and of the sources

The masks have only about 80 mel bands. So the sounds show what the network hears, but their quality
is low. A source with a few percent of the energy is a remainder of the separation, not a person.

Example:
  python -m sv.bin.separate mixture.wav --model exp/csc/model --out separated
"""

from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import parser, run


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, separate, write."""
    p = parser(__doc__)
    p.add_argument("mixture", type=Path, help="audio file in which several people speak")
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument(
        "--out", type=Path, required=True, help="output folder, made if it does not exist"
    )
    add_channel(p)
    args = p.parse_args(argv)

    from sv.audio.files import read_audio, write_audio
    from sv.inference.separation import separate
    from sv.inference.speaker_model import SpeakerModel
    from sv.kaldi.arks import ArkWriter
    from sv.report.plots import save
    from sv.report.spectra import sources_figure

    model = SpeakerModel.load(args.model)
    voices = separate(model, read_audio(args.mixture, model.sample_rate, args.channel))
    args.out.mkdir(parents=True, exist_ok=True)
    ark = args.out / "embeddings.ark"
    with ArkWriter(ark, args.out / "embeddings.scp") as writer:
        for number, vector in enumerate(voices.embeddings, 1):
            writer.write(f"source{number}", vector)
    for number, (waveform, share) in enumerate(
        zip(voices.waveforms, voices.shares, strict=True), 1
    ):
        path = args.out / f"source{number}.wav"
        write_audio(path, waveform, model.sample_rate)
        print(f"{path}: {share:.0%} of the energy")
    save(sources_figure(voices), args.out / "separation.png")
    print(f"embeddings in {ark}, picture in {args.out / 'separation.png'}")


if __name__ == "__main__":
    run(main)
