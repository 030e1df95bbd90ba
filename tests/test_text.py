import pytest

from nst_course._text import printable


@pytest.mark.parametrize(
    "text, shown",
    [
        ("conv1_1  été 画像 😀", "conv1_1  été 画像 😀"),
        ("\x1b]0;owned\x07\x1b[31mred", r"\x1b]0;owned\x07\x1b[31mred"),
        ("a\nok   J = 1\r\tb", r"a\nok   J = 1\r\tb"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),  # the one-byte form of the escape
        ("txt\u202egpj\u2028\u200b", r"txt\u202egpj\u2028\u200b"),
        ("half \ud83d, byte \udcff", r"half \ud83d, byte \udcff"),
    ],
)
def test_what_does_not_show_is_written_as_an_escape(text, shown):
    assert printable(text) == shown
    shown.encode()


def test_any_value_is_taken():
    assert printable(ValueError("a\nb")) == r"a\nb"
