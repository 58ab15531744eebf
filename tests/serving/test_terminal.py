"""What a person reads on the terminal."""

import pytest

from serving.terminal import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 new files"), (1, "1 new file"), (2, "2 new files"), (1000, "1,000 new files")],
)
def test_a_number_has_its_noun_in_the_right_form(number, said):
    assert counted(number, "new file") == said
