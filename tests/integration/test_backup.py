"""Backups of a gateway that is written to without a pause, and what comes of a restore."""

import random
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway import api_models as models
from gateway.cli import main
from gateway.client import GatewayClient
from tests.eventually import PATIENCE_S, eventually
from tests.integration.brokers import free_port
from tests.integration.edits import FEED
from tests.integration.programs import AgentProgram, GatewayProgram

IDS = 40
ITEM_BYTES = 20_000
ITEMS_BEFORE = 500


class Writer:
    """Changes a feed as fast as it can, in batches, and knows what each acknowledged one made."""

    def __init__(self, client: GatewayClient, seed: int) -> None:
        self._client = client
        self._random = Random(seed)
        self._held: dict[str, bytes] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.head = 0
        # What the feed held at each head that was acknowledged.
        self.acknowledged: dict[int, dict[str, bytes]] = {}

    def write(self, batch: list[models.BulkMutation]) -> None:
        results = self._client.bulk(FEED, batch)
        for mutation, result in zip(batch, results, strict=True):
            if result.status == "failed":
                continue
            if isinstance(mutation, models.PutMutation):
                self._held[mutation.id] = mutation.content
            else:
                del self._held[mutation.id]
        if seqs := [result.seq for result in results if result.seq is not None]:
            self.acknowledged[seqs[-1]] = dict(self._held)
            self.head = seqs[-1]

    def goes_on(self, since: int) -> bool:
        return self.head > since

    def put(self, item_id: str, size_bytes: int) -> models.PutMutation:
        return models.PutMutation(
            id=item_id,
            kind="note",
            media_type="text/plain",
            content=self._random.randbytes(size_bytes),
        )

    def _batch(self) -> list[models.BulkMutation]:
        batch: list[models.BulkMutation] = []
        for _ in range(self._random.randint(1, 12)):
            item_id = f"item-{self._random.randrange(IDS)}"
            if self._random.random() < 0.3:
                batch.append(models.DeleteMutation(id=item_id))
            else:
                batch.append(self.put(item_id, self._random.choice((0, 100, ITEM_BYTES))))
        return batch

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.write(self._batch())

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE_S)


def run(*arguments: object) -> None:
    """A command that goes well."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 0


@pytest.mark.slow
def test_one_moment_of_a_gateway_that_is_written_to(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it if the test fails
    with ExitStack() as stack:
        gateway = stack.enter_context(GatewayProgram(tmp_path, broker_port=free_port()))
        client = stack.enter_context(gateway.client())
        client.add_feed(FEED)
        writer = Writer(client, seed)
        writer.write([writer.put(f"early-{n}", ITEM_BYTES) for n in range(ITEMS_BEFORE)])
        writer.start()
        backups: list[tuple[Path, int, int]] = []
        try:
            for number in range(3):
                assert eventually(partial(writer.goes_on, writer.head))
                before = writer.head
                run("backup", tmp_path / str(number), "--data", gateway.data_dir)
                backups.append((tmp_path / str(number), before, writer.head))
        finally:
            writer.stop()
        assert any(after > before for _, before, after in backups), "nothing was written meanwhile"
        for directory, before, _ in reversed(backups):
            assert gateway.program.stop() == 0
            run("restore", directory, "--data", gateway.data_dir, "--yes")
            gateway.start()
            with gateway.client() as restored:
                (feed,) = restored.feeds()
                assert feed.head >= before
                # Whole batches, in their order, and no others.
                assert {
                    item.id: restored.content(FEED, item.id).content
                    for item in restored.items(FEED)
                } == writer.acknowledged[feed.head]
        assert gateway.program.stop() == 0
        assert "Traceback" not in gateway.program.log()


@pytest.mark.slow
def test_devices_go_back_with_the_gateway(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        gateway = stack.enter_context(GatewayProgram(tmp_path, broker_port=port))
        with gateway.client() as client:
            client.add_feed(FEED)
            credential = client.add_device("phone", [FEED]).credential
            writer = Writer(client, seed=1)
            writer.write([writer.put(f"early-{n}", 100) for n in range(10)])
            run("backup", tmp_path / "backup", "--data", gateway.data_dir)
            saved = gateway.feed()
            writer.write([writer.put("early-1", 100), writer.put("late", 100)])
            writer.write([models.DeleteMutation(id="early-2")])
        phone = AgentProgram("phone", credential, tmp_path, broker_port=port)
        stack.callback(phone.program.end_at_last)
        phone.program.start()
        assert eventually(lambda: phone.has_file() and phone.held() == gateway.feed())
        assert gateway.program.stop() == 0
        run("restore", tmp_path / "backup", "--data", gateway.data_dir, "--yes")
        gateway.start()
        assert gateway.feed() == saved
        assert eventually(lambda: phone.held() == saved)
