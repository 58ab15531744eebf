"""A helper process ends when the process that started it is gone, whatever it is doing."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """End this process, which multiprocessing started, as soon as its parent has ended.

    A thread waits for that, since a graph may never return to the code that reads the parent's
    pipe. It needs Python's lock for a moment only, which ONNX Runtime and the tokenizer leave free.
    """
    Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)
