"""Make a speaker known: add the embeddings of recordings to a gallery, under a name.

A gallery is one file with the speakers of one model. If it does not exist, it is made. If the name
is known, the new recordings are added to those before; --replace forgets the old ones. Several
programs may write one gallery at the same time. A recording with too little speech is refused, and
then nothing is written.

Take recordings like those that `sv identify` will get: several sessions of a speaker, and 10 s of
speech or more in all, give better answers than one short recording. A voice is personal data: ask
the speaker first.

Examples:
  python -m sv.bin.enroll alice monday.wav friday.flac --gallery people.safetensors \\
      --model exp/simclr/model
  python -m sv.bin.enroll alice new.wav --replace --gallery people.safetensors \\
      --model exp/simclr/model
"""

from argparse import ArgumentParser
from pathlib import Path

from sv.audio.channel_choice import add_channel
from sv.cli import add_min_speech, parser, run


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("name", help="name of the speaker")
    p.add_argument("files", nargs="+", type=Path, help="audio of this speaker alone")
    p.add_argument("--gallery", type=Path, required=True, help="the gallery, a .safetensors file")
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument("--replace", action="store_true", help="forget the speaker's recordings before")
    add_min_speech(p)
    add_channel(p)
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, embed the recordings, write the gallery."""
    args = options().parse_args(argv)

    from sv.inference.gallery import Gallery, checked_name
    from sv.inference.speaker_model import SpeakerModel

    name = checked_name(args.name)
    model = SpeakerModel.load(args.model)
    gallery = Gallery.open(args.gallery, model)
    heard = [model.listen(path, args.channel, args.min_speech) for path in args.files]
    now = gallery.enrol(
        name, [one.vector for one in heard], sum(one.speech for one in heard), args.replace
    )
    print(
        f"{args.gallery}: {name} with {now.recordings:,} recordings, {now.seconds:.1f} s of "
        f"speech; {len(gallery.speakers):,} speakers"
    )


if __name__ == "__main__":
    run(main)
