"""One hash of everything that a batch holds: what golden tests of batches compare."""

import hashlib

DRAWS = ("noise", "snr", "room", "masks", "speed", "partner", "level")


def digest(batches):
    """Return 16 hexadecimal digits that change with any number of these batches."""
    found = hashlib.sha256()
    for batch in batches:
        found.update(batch.utterances.numpy().tobytes())
        for name in sorted(batch.crops):
            crops = batch.crops[name]
            found.update(crops.signal.numpy().tobytes())
            for draw in DRAWS:
                value = getattr(crops.draws, draw)
                found.update(b"-" if value is None else value.numpy().tobytes())
    return found.hexdigest()[:16]
