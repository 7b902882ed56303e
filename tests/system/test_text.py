"""Text of others is shown in one line that nothing obeys."""

import pytest

from jhash.errors import InputError, in_config, printable
from jhash.system import text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("photos/cat 1.png", "photos/cat 1.png"),
        ("Bär 猫　ねこ 1\u202fPM.png", "Bär 猫　ねこ 1\u202fPM.png"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x1b]0;title\x07\x9b1A", r"\x1b[2J\x1b]0;title\x07\x9b1A"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
        ("\udcff\ud800\0\u2028\U000e0041", r"\udcff\ud800\x00\u2028\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(given, shown):
    assert printable(given) == shown
    assert str(InputError(f"path: {given} given")) == f"path: {shown} given"
    shown.encode()


def test_a_message_is_escaped_once():
    with pytest.raises(InputError) as caught, in_config("config."):
        raise InputError("name: a\n\\n given")
    assert str(caught.value) == r"config.name: a\n\n given"


def test_shortened():
    assert text.shortened("x" * 80) == "x" * 80
    assert text.shortened("x" * 81) == "x" * 77 + "..."


def test_every_path_becomes_text():
    assert text.decodable(b"caf\xe9.png".decode(errors="surrogateescape")) == r"caf\xe9.png"
    assert text.decodable("a\nb.png") == "a\nb.png"
