"""The word pieces that are kept read a text as all of them did."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from training.trim.vocabulary import Vocabulary

SLOW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def read(path: Path) -> Vocabulary:
    return Vocabulary(path.read_text(encoding="utf-8"), path)


WORDS = st.text(
    st.sampled_from("ابتنيوملةءق" + "abz09.,«»" + "ლმжщ字😀ﷺ▁#"), min_size=1, max_size=12
)


@SLOW
@given(texts=st.lists(st.lists(WORDS, min_size=1).map(" ".join), min_size=1, max_size=8))
def test_any_text_at_all_is_read_alike_by_a_vocabulary_cut_to_it(encoder, texts, tmp_path):
    before = read(encoder / "tokenizer.json")
    kept = sorted(before.essential() | before.used_by(texts)[0])
    before.save_cut(kept, tmp_path / "tokenizer.json")
    after = read(tmp_path / "tokenizer.json")
    assert [after.pieces[new] for new in range(len(kept))] == [before.pieces[old] for old in kept]
    for text in texts:
        assert before.tokenizer.encode(text).tokens == after.tokenizer.encode(text).tokens


def cut_to(model, texts: list[str], folder: Path) -> tuple[Vocabulary, Vocabulary]:
    """A vocabulary of letters that none is kept for their own sake, and the same cut to `texts`."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "before.json"))
    before = read(folder / "before.json")
    before.save_cut(sorted(before.essential() | before.used_by(texts)[0]), folder / "after.json")
    return before, read(folder / "after.json")


def test_a_word_that_word_piece_could_not_read_stays_unknown(tmp_path):
    # Greedy: აბ, then nothing for გ. Without აბ, which is on no other path, ა and ##ბგ would do.
    pieces = ["[UNK]", "აბ", "ა", "##ბგ", "დბ", "დ"]
    model = models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    before, after = cut_to(model, ["აბგ ა", "დ", "ა დბგ"], tmp_path)
    (tmp_path / "after.json").unlink()
    before.save_cut([0, 2, 3, 5], tmp_path / "after.json")
    assert read(tmp_path / "after.json").tokenizer.encode("აბგ").tokens == ["ა", "##ბგ"]
    assert (
        after.tokenizer.encode("აბგ").tokens == before.tokenizer.encode("აბგ").tokens == ["[UNK]"]
    )


def test_an_unknown_character_costs_what_it_did(tmp_path):
    # The score of an unknown character is the lowest of all, ზ's, less 10. Were it აბგ's, less 10,
    # then ა, an unknown ბ and გდ would be the best way.
    scores = {"<unk>": 0, "ა": -1, "აბგ": -15, "დ": -15, "გდ": -1, "ზ": -50}
    model = models.Unigram(list(scores.items()), unk_id=0)
    texts = ["აბგდ", "ა", "გდ"]
    before, after = cut_to(model, texts, tmp_path)
    assert before.tokenizer.encode(texts[0]).tokens == ["აბგ", "დ"]
    for text in texts:
        assert after.tokenizer.encode(text).tokens == before.tokenizer.encode(text).tokens
    before.save_cut(range(5), tmp_path / "without.json")
    without = read(tmp_path / "without.json")
    assert without.tokenizer.encode(texts[0]).tokens != ["აბგ", "დ"]


def test_of_two_ways_that_score_alike_the_same_is_taken(tmp_path):
    scores = {"<unk>": 0, "აბ": -3, "გ": -1, "ა": -1, "ბგ": -3, "ბ": -2, "აბგ": -4}
    for order in (1, -1):
        vocab = [("<unk>", 0.0), *list(scores.items())[:0:-1][::order]]
        before, after = cut_to(models.Unigram(vocab, unk_id=0), ["აბგ"], tmp_path)
        assert len(after.pieces) < len(before.pieces)
        expected = before.tokenizer.encode("აბგ").tokens
        assert after.tokenizer.encode("აბგ").tokens == expected
