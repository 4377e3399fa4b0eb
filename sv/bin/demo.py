"""Open a page on this machine to try a model: compare two clips, enrol speakers, ask who speaks.

Record a clip or drop a file. The page shows the waveform, which part is speech, a spectrogram, the
score, the probability and how sure the answer is. It listens on 127.0.0.1 only, so no other machine
reaches it; nothing is sent to the network. Ctrl-C ends it.

It needs the extra [demo]: pip install 'sv-toolkit[demo]'. Without --gallery, the speakers that are
enrolled on the page are forgotten at the end.

Examples:
  python -m sv.bin.demo --model exp/simclr/model
  python -m sv.bin.demo --model exp/simclr/model --gallery people.safetensors --port 8000
"""

import errno
import socket
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from sv.cli import add_min_speech, parser, run
from sv.errors import InputError
from sv.numbers import whole

HOST = "127.0.0.1"


def options() -> ArgumentParser:
    """Return the parser."""
    p = parser(__doc__)
    p.add_argument("--model", type=Path, required=True, help="a model directory, or a final.pt")
    p.add_argument("--gallery", type=Path, help="keep the enrolled speakers in this file")
    p.add_argument(
        "--port", type=whole(1, 65535), default=7860, help="another one if this is taken"
    )
    add_min_speech(p)
    return p


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and serve the page until Ctrl-C."""
    args = options().parse_args(argv)

    from sv.inference.gallery import Gallery
    from sv.inference.speaker_model import SpeakerModel
    from sv.report.demo import application

    model = SpeakerModel.load(args.model)
    if args.gallery is not None:
        Gallery.open(args.gallery, model)  # is it of this model?
    with _listening(args.port) as listener, tempfile.TemporaryDirectory() as folder:
        path = args.gallery or Path(folder) / "people.safetensors"
        app = application(model, str(path), args.min_speech)
        import uvicorn

        print(f"the page is at http://{HOST}:{args.port}/ (Ctrl-C ends it)", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        server.run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    """Return a socket that other machines cannot reach. Raises ``InputError`` if it is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise InputError(f"port {port} is taken by another program: give another --port") from None
    return listener


if __name__ == "__main__":
    run(main)
