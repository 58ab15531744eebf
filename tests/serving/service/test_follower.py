"""A registry on a disk that does not answer holds up nothing, and is seen to."""

import asyncio
import shutil
import threading

from serving.bundle import Bundle, shipped_model
from serving.registry.pointer import current_folder
from serving.service import follower as module
from serving.service.follower import Follower
from serving.service.metrics import Metrics
from serving.service.pool import Pool


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_disk_that_does_not_answer_shows_and_following_continues_when_it_does(
    tmp_path, monkeypatch
):
    answers = threading.Event()
    answers.set()

    def read_from_that_disk(registry):
        answers.wait()
        return current_folder(registry)

    monkeypatch.setattr(module, "current_folder", read_from_that_disk)
    monkeypatch.setattr(module, "INTERVAL", 0.05)
    monkeypatch.setattr(module, "GRACE", 0.2)
    folder = tmp_path / "versions" / "one"
    shutil.copytree(shipped_model("fast"), folder)
    (tmp_path / "current").write_text("one\n", encoding="utf-8")
    pool = Pool(Bundle.load(folder), workers=0, threads=1, max_sentences=1, load_seconds=1)
    metrics = Metrics()
    threads = threading.active_count()

    async def follow() -> None:
        follower = Follower(tmp_path, pool, metrics, load_seconds=0.2)
        following = asyncio.create_task(follower.run())
        await asyncio.sleep(1)
        await until(lambda: follower.alive)
        answers.clear()
        await until(lambda: not follower.alive)
        assert b"rasd_following 0.0" in metrics.text()
        assert threading.active_count() < threads + 5  # not one more for each look
        answers.set()
        await until(lambda: follower.alive)
        assert b"rasd_following 1.0" in metrics.text()
        following.cancel()

    asyncio.run(follow())
