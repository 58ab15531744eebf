"""Compressed bodies: any bytes in any pieces, and no more at once than was asked for."""

import gzip
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.service.content_encoding import PIECE, Decoder
from serving.service.http_problems import ProblemError

bodies = st.binary(max_size=300) | st.builds(
    lambda unit, size: (unit * (size // len(unit) + 1))[:size],
    st.binary(min_size=1, max_size=3),
    st.sampled_from([PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 257]),
)


def received(name: str, raw: bytes, cuts: list[int]) -> list[bytes]:
    """What a decoder gives for a body that arrives cut at these places."""
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    stream = Decoder(name)
    parts = [raw[a:b] for a, b in pairwise(edges)]
    return [
        piece
        for number, part in enumerate(parts)
        for piece in stream.decoded(part, last=number == len(parts) - 1)
    ]


@settings(max_examples=200, deadline=None)
@given(body=bodies, cuts=st.lists(st.integers(0, 10**6), max_size=4), level=st.integers(0, 9))
def test_any_body_in_any_pieces_is_read_back(body, cuts, level):
    pieces = received("gzip", gzip.compress(body, level), cuts)
    assert b"".join(pieces) == body
    assert all(len(piece) <= PIECE for piece in pieces)
    assert b"".join(received("", body, cuts)) == body


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=300), at=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 99)))
def test_a_gzip_stream_that_is_cut_is_refused(body, at, cuts):
    raw = gzip.compress(body)
    with pytest.raises(ProblemError) as caught:
        received("gzip", raw[: at % len(raw)], cuts)
    assert (caught.value.status, caught.value.slug) == (400, "broken-gzip")


def test_a_bomb_is_decompressed_only_as_far_as_it_is_read():
    bomb = gzip.compress(bytes(100 * 2**20))
    pieces = Decoder("gzip").decoded(bomb, last=True)
    assert [len(next(pieces)) for _ in range(3)] == [PIECE] * 3


def test_damage_in_the_middle_is_refused():
    raw = bytearray(gzip.compress(random.Random(1).randbytes(10_000)))
    raw[-3] ^= 255
    with pytest.raises(ProblemError):
        received("gzip", bytes(raw), [100])
