"""Training files that are copies of test files."""

from sv.data.guard import copies_of


def test_copies_and_links_of_test_audio_are_found(tmp_path):
    def made(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    one, other = b"a" * 3000, b"a" * 2999 + b"b"
    test = {"t1": made("t1", one), "t2": made("t2", b"short")}
    (tmp_path / "link").symlink_to(tmp_path / "t1")
    (tmp_path / "hard").hardlink_to(tmp_path / "t2")
    train = {"copy": made("copy", one), "link": str(tmp_path / "link")}
    train |= {"hard": str(tmp_path / "hard"), "same size": made("x", other), "y": made("y", b"z")}
    assert copies_of(train, test) == {"copy": "t1", "link": "t1", "hard": "t2"}
    assert copies_of(train, {}) == {}
