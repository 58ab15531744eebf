"""Which files an ONNX graph reads beside its own, found without loading it.

A tensor may lie in another file ("external data"). ONNX Runtime opens whatever name the graph
gives, so a bundle has to list it beforehand. Only the few fields of ONNX's protobuf that lead to a
tensor are followed; the package `onnx` would be a heavy dependency for that.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from serving.errors import InputError

# The fields of onnx.proto through which a message of one kind holds others.
_FIELDS = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}
_KEY, _VALUE = 1, 2
_DEEPEST = 100  # protobuf's own limit


def external_files(graph: Path) -> set[str]:
    """Return the names of the files that the graph's tensors lie in, as the graph has them.

    Raises InputError when the file is not a graph or cannot be read.
    """
    if graph.stat().st_size == 0:  # which cannot be mapped
        return set()
    try:
        with (
            graph.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return set(_locations(content, 0, len(content), "Model", 0))
    except (OSError, ValueError, IndexError) as error:
        raise InputError(
            f"{graph}: not an ONNX graph ({error})",
            "Copy the bundle again, or make it again with `rasd export`.",
        ) from error


def _locations(content: mmap.mmap, begin: int, end: int, kind: str, depth: int) -> Iterator[str]:
    """Yield every location in the message of this kind at content[begin:end]."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for field, first, last in _parts(content, begin, end):
        inner = _FIELDS[kind].get(field)
        if inner == "Entry":
            entry = [(number, content[a:b]) for number, a, b in _parts(content, first, last)]
            if (_KEY, b"location") in entry:
                yield from (text.decode("utf-8") for number, text in entry if number == _VALUE)
        elif inner:
            yield from _locations(content, first, last, inner, depth + 1)


def _parts(content: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield field number, begin and end of every length-delimited field of a message."""
    position = begin
    while position < end:
        tag, position = _varint(content, position)
        wire = tag & 7
        if wire == 0:
            _, position = _varint(content, position)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        elif wire == 2:
            length, position = _varint(content, position)
            yield tag >> 3, position, position + length
            position += length
        else:
            raise ValueError(f"unknown wire type {wire}")
        if position > end:
            raise ValueError("cut off")


def _varint(content: mmap.mmap, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number is too long")
