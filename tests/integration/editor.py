"""Somebody who edits through the HTTP API, whatever is killed, and knows what must be there."""

import threading
from collections.abc import Sequence
from random import Random

from gateway import api_models as models
from gateway.api_errors import ApiError, NoAnswerError, NoGatewayError
from gateway.client import GatewayClient
from tests.integration.edits import FEED, FLAGS, FOLDERS, SIZES, Held
from tests.integration.programs import GatewayProgram

RETRY_S = 0.02

# Content, folder and flags of an item; None where there is none.
State = tuple[bytes, str, tuple[str, ...]] | None


class Editor:
    """Edits items that nobody else edits, in a thread of its own."""

    def __init__(self, gateway: GatewayProgram, ids: Sequence[str], random: Random) -> None:
        self.acknowledged = 0
        self.unanswered = 0
        self.failure: Exception | None = None
        self._gateway = gateway
        self._random = random
        # A change without an answer may have come about or not: then more than one is possible.
        self._possible: dict[str, set[State]] = {item_id: {None} for item_id in ids}
        self._client: GatewayClient | None = None
        self._going = threading.Event()
        self._ending = threading.Event()
        self._editing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="editor", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._going.set()

    def go_on(self) -> None:
        self._going.set()

    def pause(self) -> None:
        """Let the change under way end, and begin no other."""
        self._going.clear()
        with self._editing:
            pass

    def end(self) -> None:
        self._ending.set()
        self._going.set()
        self._thread.join()

    def lost(self, feed: Held) -> Sequence[str]:
        """What of the feed is not as it was acknowledged to be."""
        return [
            f"{item_id} is {_shown(feed.get(item_id))}, and should be"
            f" {' or '.join(map(_shown, possible))}"
            for item_id, possible in self._possible.items()
            if feed.get(item_id) not in possible
        ]

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._going.wait()
                with self._editing:
                    answered = self._going.is_set() and self._edit()
                if not answered:
                    self._ending.wait(RETRY_S)
        except Exception as error:  # whoever runs this looks at it
            self.failure = error
        finally:
            self._disconnect()

    def _edit(self) -> bool:
        """One change; whether it was answered."""
        item_id = self._random.choice(list(self._possible))
        before = self._possible[item_id]
        content = self._random.randbytes(self._random.choice(SIZES))
        folder = self._random.choice(FOLDERS)
        # At least one: a put without flags leaves the item those that it had.
        flags = tuple(sorted(self._random.sample(FLAGS, self._random.randrange(1, 3))))
        what = self._random.choice(("put", "put", "alter", "delete"))
        after: set[State]
        match what:
            case "put":
                after = {(content, folder, flags)}
            case "alter":
                after = {(state[0], folder, flags) for state in before if state is not None}
            case _:
                after = {None}
        try:
            client = self._connected()
            match what:
                case "put":
                    client.put(FEED, _put(item_id, content, folder, flags))
                case "alter":
                    client.alter(FEED, item_id, models.Alteration(folder=folder, flags=flags))
                case _:
                    client.delete(FEED, item_id)
        except NoGatewayError:
            self._disconnect()
            return False  # nobody heard of it
        except NoAnswerError:
            self._disconnect()
            self._possible[item_id] = before | after
            self.unanswered += 1
            return False
        except ApiError as error:
            assert error.reason == "no-such-item", error  # noqa: PT017 - the only one there may be
            assert None in before, f"{item_id} is gone, of which a put was acknowledged"
            after = {None}
        assert after, f"{item_id} is there, though nobody put it"
        self._possible[item_id] = after
        self.acknowledged += 1
        return True

    def _connected(self) -> GatewayClient:
        if self._client is None:
            self._client = self._gateway.client()
        return self._client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _shown(state: State) -> str:
    if state is None:
        return "not there"
    content, folder, flags = state
    return f"{content[:8]!r}... of {len(content)} bytes in {folder!r} with {flags}"


def _put(item_id: str, content: bytes, folder: str, flags: tuple[str, ...]) -> models.PutMutation:
    return models.PutMutation(
        op="put",
        id=item_id,
        kind="contact",
        media_type="text/vcard",
        content=content,
        folder=folder,
        flags=flags,
    )
