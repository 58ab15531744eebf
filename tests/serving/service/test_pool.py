"""The pool of workers: none is lost, whenever it dies."""

import asyncio
import os
import signal

from serving.bundle import Bundle
from serving.service import pool as module
from serving.service.pool import Pool
from serving.service.worker_handle import Worker


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_new_worker_that_dies_while_another_one_still_loads_is_replaced(monkeypatch):
    made = []

    class Noted(Worker):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(module, "Worker", Noted)
    bundle = Bundle.load("fast")

    async def swap() -> None:
        pool = Pool(bundle, workers=2, threads=1, max_sentences=1, load_seconds=60)
        await pool.start()
        swapping = asyncio.create_task(pool.swap(bundle))
        await until(lambda: len(made) == 4)
        loaded, slow = made[2:]
        os.kill(slow.process.pid, signal.SIGSTOP)
        await until(lambda: loaded.ready)
        loaded.process.kill()
        await until(lambda: loaded.gone)
        os.kill(slow.process.pid, signal.SIGCONT)
        await swapping
        await until(lambda: pool.ready)
        assert pool.restarts == 1
        await pool.stop()

    asyncio.run(swap())
