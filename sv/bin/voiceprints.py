"""Stage 4 of v3: compute a voiceprint of each training speaker, for clustering speakers.

For each speaker, up to --utterances random utterances are taken. A crop of --seconds of each one is
embedded; the embeddings are averaged and scaled to length one. The program reads the features of a
data directory and the file of true speakers. It writes OUT.ark and OUT.scp with a vector for each
speaker. sv.bin.cluster then clusters these vectors.

Example:
  python -m sv.bin.voiceprints --model exp/supcon/final.pt --data data/train \\
      --labels data/labels/train/utt2spk --out exp/supcon/voiceprints
"""

from pathlib import Path

from sv.cli import parser, run
from sv.numbers import COUNT, SECONDS, SEED


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, embed, write."""
    args = _parse(argv)
    from sv.crops.front_end import FrontEnd
    from sv.crops.wave_index import load_index
    from sv.data.labels import numbered_labels
    from sv.device import choose_device
    from sv.inference.embedder import Embedder
    from sv.kaldi.arks import ArkWriter
    from sv.sampling.voiceprints import voiceprints

    embedder = Embedder.load(args.model)
    index = load_index(args.data, "wave" if embedder.hears_waveforms else "fbank")
    embedder.require_features(index)
    speakers, labels = numbered_labels(args.labels, index.ids(slice(None)))
    device = choose_device(args.device)
    vectors = voiceprints(
        embedder.encoder.to(device),
        index,
        labels,
        front_end=FrontEnd.of(
            embedder.normalise, embedder.mel_bins, index, None, preset=embedder.preset
        ),
        utterances=args.utterances,
        seconds=args.seconds,
        seed=args.seed,
        device=device,
    )
    with ArkWriter(f"{args.out}.ark", f"{args.out}.scp") as writer:
        for speaker, vector in zip(speakers, vectors, strict=True):
            writer.write(speaker, vector)
    print(f"{len(speakers):,} voiceprints in {args.out}.ark")


def _parse(argv: list[str] | None):
    p = parser(__doc__)
    p.add_argument("--model", type=Path, required=True, help="final.pt of the base model")
    p.add_argument("--data", type=Path, required=True, help="training set, with feats.scp")
    p.add_argument(
        "--labels",
        type=Path,
        required=True,
        help="utt2spk with the true speakers of the training set",
    )
    p.add_argument(
        "--utterances",
        type=COUNT,
        default=10,
        help="largest number of utterances of each speaker; 10 as published. More take "
        "more time and change few clusters",
    )
    p.add_argument(
        "--seconds", type=SECONDS, default=3.0, help="length of the crop of each utterance"
    )
    p.add_argument(
        "--seed", type=SEED, default=0, help="seed of the choice of utterances and crops"
    )
    p.add_argument("--out", required=True, help="path without ending: writes OUT.ark and OUT.scp")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return p.parse_args(argv)


if __name__ == "__main__":
    run(main)
