"""Damaged text is marked, good text never is, and only what loses nothing is repaired."""

import json
from pathlib import Path

import pytest

from serving.files import damage
from serving.files.damage import inspected

AUTHORED = Path(__file__).parents[3] / "data" / "authored.jsonl"
NEWS = (
    "هز انفجار عنيف وسط المدينة القديمة صباح اليوم، وقالت الشرطة المحلية إن ثلاثة أشخاص أصيبوا "
    "بجروح طفيفة. ونفت الجماعة مسؤوليتها عن الهجوم الذي وقع قرب السوق."
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (NEWS.encode().decode("latin-1"), damage.MOJIBAKE),
        (NEWS.encode().decode("cp1252", "replace"), damage.MOJIBAKE),
        (NEWS.encode().decode("cp1256", "replace"), damage.MOJIBAKE_1256),
        (NEWS.encode("cp1256").decode("latin-1"), damage.LEGACY),
        (NEWS.encode("ascii", "replace").decode(), damage.LOST),
        (NEWS.encode("cp1252", "replace").decode("cp1252"), damage.LOST),
        ("".join("\ufffd" if ch > "\x7f" else ch for ch in NEWS), damage.LOST),
        (NEWS[::-1], damage.VISUAL),
    ],
)
def test_damage_is_named(text, found):
    assert inspected(text)[1] == found


def test_no_sentence_of_the_shipped_data_is_taken_for_damaged():
    texts = [json.loads(line)["text"] for line in AUTHORED.read_text("utf-8").splitlines()]
    assert [text for text in texts if inspected(text)[1]] == []
    assert inspected("\n".join(texts))[1] is None


@pytest.mark.parametrize(
    "text",
    ["", "What??? No!!!", "هل قال ذلك؟؟؟", "Le déjà-vu à Paris était très étonné, même là-bas.",
     "ظهر الظلام وظلت طائرات تحلق", "Øresund Ærø Ålborg", "؟؟؟؟؟؟؟؟", "ماذا يحدث??????????"],
)  # fmt: skip
def test_good_text_is_not(text):
    assert inspected(text) == (text, None)


@pytest.mark.parametrize("encoding", ["latin-1", "sloppy-windows-1252"])
def test_repair_gives_the_text_back(encoding):
    import ftfy.bad_codecs  # noqa: F401 - registers the sloppy encodings

    assert inspected(NEWS.encode().decode(encoding), repair=True) == (NEWS, damage.REPAIRED)


@pytest.mark.parametrize("text", [NEWS[::-1], NEWS.encode("ascii", "replace").decode(), NEWS])
def test_what_cannot_be_repaired_without_loss_stays(text):
    assert inspected(text, repair=True)[0] == text
    lossy = NEWS.encode().decode("cp1252", "replace")
    assert inspected(lossy, repair=True) == (lossy, damage.MOJIBAKE)
