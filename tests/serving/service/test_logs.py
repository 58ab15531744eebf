"""Log lines: written whole and in order, and counted when nobody reads them."""

import json
import logging
import os
from select import PIPE_BUF

import pytest

from serving.service.logs import LineWriter


@pytest.fixture
def log():
    """Make a logger of its own that writes through a LineWriter."""

    def make(writer):
        logger = logging.Logger("test", logging.INFO)
        logger.addHandler(writer)
        return logger

    return make


def test_every_dropped_line_is_counted_once(log):
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)
    logger = log(writer)
    for number in range(10):
        logger.info("line %d", number)
    writer.flush()
    assert writer.dropped == 10
    os.close(writing)


def test_no_write_is_longer_than_a_pipe_takes_whole(log, monkeypatch):
    """Workers write to the same pipe, and their lines would stand within a longer one."""
    written = []
    monkeypatch.setattr(os, "write", lambda _, data: written.append(bytes(data)) or len(data))
    writer = LineWriter(1)
    logger = log(writer)
    texts = [f"{number}" * (number * 37 % 900 + 1) for number in range(200)]
    for text in texts:
        logger.info(text)
    writer.flush()
    monkeypatch.undo()
    assert len(written) > 1
    assert max(map(len, written)) <= PIPE_BUF
    assert all(data.endswith(b"\n") for data in written)
    lines = b"".join(written).decode().splitlines()
    assert [json.loads(line)["message"] for line in lines] == texts
