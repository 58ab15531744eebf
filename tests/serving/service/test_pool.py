"""The pool of workers: none is lost, whenever it dies."""

import asyncio
import os
import shutil
import signal
import time

from serving.bundle import Bundle, read_manifest, shipped_model
from serving.service import pool as module
from serving.service.messages import Failed, Work
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


def test_a_folder_that_was_replaced_does_not_bring_a_second_model_in(tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(shipped_model("fast"), folder)
    bundle = Bundle.load(folder)

    async def lose_a_worker() -> None:
        pool = Pool(bundle, workers=2, threads=1, max_sentences=1, load_seconds=60)
        await pool.start()
        folder.rename(tmp_path / "old")
        shutil.copytree(shipped_model("default"), folder)
        before = pool.current.workers[0]
        before.process.kill()
        await until(lambda: pool.current.workers[0] is not before)
        after = pool.current.workers[0]
        outcome = await asyncio.shield(after.loaded)
        assert isinstance(outcome, Failed)
        assert f"holds {read_manifest(folder).model} by now" in outcome.reason
        work = Work("sentences", ("0",), ("نفت الوزارة الخبر.",), time.monotonic() + 60)
        answer, _ = await pool.score(work)
        assert answer.model == bundle.manifest.model == pool.model
        # The old bundle is put back.
        folder.rename(tmp_path / "new")
        (tmp_path / "old").rename(folder)
        await until(lambda: pool.ready)
        await pool.stop()

    asyncio.run(lose_a_worker())
