"""List, show or remove the speakers of a gallery, the file that `sv enroll` writes.

list prints a line for each speaker: name, recordings, seconds of speech, date of the last
enrolment. show prints all that is kept of the named speakers, and of which model the gallery is.
remove deletes the named speakers from the file; if one of the names is unknown, none is removed.
An embedding cannot be turned back into speech, but it tells a voice: remove those who ask for it.

Examples:
  python -m sv.bin.gallery list --gallery people.safetensors
  python -m sv.bin.gallery show alice --gallery people.safetensors
  python -m sv.bin.gallery remove alice bob --gallery people.safetensors
"""

import json
from argparse import ArgumentParser
from pathlib import Path

from sv.cli import parser, run
from sv.errors import InputError


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("action", choices=["list", "show", "remove"], help="what to do")
    p.add_argument("names", nargs="*", help="speakers, for show and remove")
    p.add_argument("--gallery", type=Path, required=True, help="a file that `sv enroll` wrote")
    p.add_argument("--json", action="store_true", help="print list and show as one JSON object")
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line; read or change the gallery."""
    args = options().parse_args(argv)

    from sv.inference.gallery import Gallery

    if args.action == "remove" and not args.names:
        raise InputError("gallery remove: give the names of the speakers to remove")
    if args.action == "list" and args.names:
        raise InputError("gallery list takes no names: `gallery show NAME` shows a speaker")
    gallery = Gallery.read(args.gallery)
    if args.action == "remove":
        gallery.remove(args.names)
        print(f"{args.gallery}: {len(args.names):,} removed, {len(gallery.speakers):,} left")
        return
    names = args.names or sorted(gallery.speakers)
    if args.json:
        speakers = {name: gallery.require(name)._asdict() for name in names}
        print(json.dumps({"model": gallery.model, "dim": gallery.dim, "speakers": speakers}))
        return
    if args.action == "show":
        print(f"{args.gallery}: model {gallery.model[:12]}, {gallery.dim} values for each speaker")
    for name in names:
        one = gallery.require(name)
        print(f"{name}\t{one.recordings} recordings\t{one.seconds:.1f} s of speech\t{one.added}")


if __name__ == "__main__":
    run(main)
