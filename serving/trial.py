"""Tries a bundle in a process of its own, which ends whatever the graph does."""

import os
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from serving.errors import InputError
from serving.parent import end_with_parent

# Seconds that a bundle may take to load and to score its golden sentences.
SECONDS = 120.0


def try_bundle(folder: Path, *, seconds: float = SECONDS) -> None:
    """Verify a bundle's files, load it and compare its golden predictions.

    Raises InputError that says what is wrong, also when the graph crashes or does not end.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(folder, theirs), daemon=True)
    process.start()
    theirs.close()
    remedy = "Make the bundle again with `rasd export`, or give it more time and memory."
    try:
        if not ours.poll(seconds):
            raise InputError(f"{folder}: was not loaded and tried in {seconds:g} seconds", remedy)
        problem = ours.recv()
    except EOFError:
        process.join()
        raise InputError(
            f"{folder}: the process that tried it died (exit code {process.exitcode})", remedy
        ) from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if problem:
        raise InputError(*problem)


def _try(folder: Path, connection: Connection) -> None:
    end_with_parent()
    from serving.classifier import Classifier

    try:
        Classifier.load(folder, threads=1)
    except InputError as error:
        connection.send((error.problem, error.remedy))
    except Exception as error:  # whatever the libraries raise over a graph
        reason = " ".join(str(error).split())
        connection.send((f"{folder}: cannot be tried: {reason}", "Make the bundle again."))
    else:
        connection.send(None)
    os._exit(0)
