"""The simulated world: one feed, some devices, and a wire that loses, doubles and reorders."""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from device_agent.replica import AnswerFate, PushResult, Replica
from device_agent.store_memory import MemoryReplicaStore
from gateway.feed import Alter, Delete, Mutation, Put, Row
from gateway.feed_memory import MemoryFeedStore
from gateway.notifier import Target, pushes
from gateway.responder import AnswerLimits, respond
from sync_protocol import messages, tokens, wire
from sync_protocol.digests import digest_of
from sync_protocol.limits import ANSWER_BYTES_MAX, ANSWER_BYTES_MIN, NOTIFICATION_BYTES_MAX
from sync_protocol.messages import Answer, Notification
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format

FEED: Final = "feed"
BOUNDS: Final = AnswerLimits(portion_bytes=8, inline_bytes_max=2_000)
PUSHED_CONTENT_BYTES_MAX: Final = 100
MOST_ROUNDS: Final = "rounds to settle, most"
CONTENT_SIZES: Final = (0, 3, 20, 300, 1_500, 9_000)


class Broken(AssertionError):  # noqa: N818 - what it says of the run
    """The run broke a promise of the protocol."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad the link and the world are; each a probability."""

    loss: float
    double: float
    offline: float
    restart: float
    purge: float
    restore: float


# A change as the world knows it, whatever the protocol calls it: a seq is used again after a
# restore, this number never.
Identity = int


@dataclass(frozen=True, slots=True)
class Past:
    """The feed at some moment, and which change each of its seqs was."""

    feeds: MemoryFeedStore
    identities: Mapping[int, Identity]


@dataclass(frozen=True, slots=True)
class Flying:
    """A push on its way.

    Attributes:
        after: seq of the newest change before this one when it was made, as far as a purge leaves
            that certain.
    """

    payload: bytes
    change: Identity
    after: int | None


@dataclass(slots=True)
class Answered:
    """An answer on its way, with what can be said of it independently of the protocol."""

    payload: bytes
    filling: bool
    changes: list[Identity]
    resent_though_held: list[str]
    content_though_held: list[str]


@dataclass(slots=True)
class SimDevice:
    """A device, its link, and a plain record of what it took."""

    name: str
    form: Format
    store: MemoryReplicaStore
    replica: Replica
    online: bool = True
    target: Target | None = None
    pushes: list[Flying] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    taken: set[Identity] = field(default_factory=set)
    taken_when_asked: dict[bytes, frozenset[Identity]] = field(default_factory=dict)
    contents_pushed: set[Identity] = field(default_factory=set)
    contents_when_asked: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


class World:
    """Everything there is, moved one random event at a time."""

    def __init__(self, seed: int, *, devices: int = 3, items: int = 12) -> None:
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        share = self.random.choice
        self.faults = Faults(
            loss=share((0.0, 0.1, 0.5, 0.9)),
            double=share((0.0, 0.1, 0.3)),
            offline=share((0.0, 0.02)),
            restart=share((0.0, 0.002, 0.02)),
            purge=share((0.0, 0.002, 0.02)),
            restore=share((0.0, 0.0, 0.005)),
        )
        self.now = 1_000_000
        self.ids = [f"item-{number}" for number in range(items)]
        self.feeds = MemoryFeedStore()
        self.feeds.add_feed(FEED, epoch_id=self._random_id(), now=self.now)
        self.identities: dict[int, Identity] = {}
        for _ in range(self.random.choice((0, 5, 30))):
            self._edit()
        self.cursor = self._head()
        self.backup = self._back_up()
        self.devices = [self._device(f"device-{number}") for number in range(devices)]

    def _random_id(self) -> bytes:
        return self.random.randbytes(8)

    def _head(self) -> int:
        with self.feeds.snapshot(FEED) as snapshot:
            return snapshot.head

    def _device(self, name: str) -> SimDevice:
        store = MemoryReplicaStore()
        replica = Replica(store, make_view_id=lambda: self.random.getrandbits(32))
        return SimDevice(name, self.random.choice(list(Format)), store, replica)

    def _back_up(self) -> Past:
        return Past(copy.deepcopy(self.feeds), dict(self.identities))

    # Events

    def step(self) -> None:
        """One random event."""
        device = self.random.choice(self.devices)
        kind = self.random.choices(
            ("edit", "notify", "deliver", "ask", "serve", "answer", "timeout"),
            (20, 15, 40, 6, 12, 12, 1),
        )[0]
        match kind:
            case "edit":
                self._edit()
            case "notify":
                self._notify()
            case "deliver":
                self._deliver_push(device)
            case "ask":
                if device.replica.needs_sync() or self.random.random() < 0.05:
                    self._ask(device)
            case "serve":
                self._serve(device)
            case "answer":
                self._deliver_answer(device)
            case _:
                device.replica.close_request()
        self.counts[kind] += 1
        self._faults(device)

    def _faults(self, device: SimDevice) -> None:
        chance = self.random.random
        if chance() < self.faults.offline:
            device.online = not device.online
            self.counts["online or offline"] += 1
        if chance() < self.faults.restart:
            self._restart_gateway()
        if chance() < self.faults.restore:
            self._restore()
        if chance() < self.faults.restore:
            self.backup = self._back_up()
        if chance() < self.faults.restart:
            device.replica = Replica(device.store, make_view_id=lambda: 0)
            device.pushes.clear()
            device.answers.clear()
            self.counts["agent restarts"] += 1
        if chance() < self.faults.purge:
            self.feeds.purge(FEED, before=self.now - self.random.choice((0, 5, 50)))
            self.counts["purges"] += 1

    def _restart_gateway(self) -> None:
        self.feeds.open_epoch(FEED, epoch_id=self._random_id())
        self.cursor = self._head()
        for each in self.devices:
            each.target = None
            each.requests.clear()
        self.counts["gateway restarts"] += 1

    def _restore(self) -> None:
        """The feed is set back, and what was changed since is lost to it."""
        self.feeds = copy.deepcopy(self.backup.feeds)
        self.identities = dict(self.backup.identities)
        self._restart_gateway()
        self.counts["restored backups"] += 1

    def _edit(self) -> None:
        self.now += self.random.choice((0, 1, 5))
        mutation = self._mutation()
        row = self.feeds.apply(FEED, mutation, now=self.now)
        if row is not None:
            self.counts["changes"] += 1
            self.identities[row.seq] = self.counts["changes"]

    def _mutation(self) -> Mutation:
        item_id = self.random.choice(self.ids)
        with self.feeds.snapshot(FEED) as snapshot:
            row = snapshot.row(item_id)
        live = row is not None and not row.deleted
        kind = self.random.choice(("put", "put", "flags", "folder", "delete")) if live else "put"
        match kind:
            case "flags":
                flags = self.random.sample(
                    ("$seen", "$flagged", "$draft"), self.random.randrange(3)
                )
                return Alter(item_id, flags=tuple(flags))
            case "folder":
                return Alter(item_id, folder=self.random.choice(("", "Inbox", "Archive")))
            case "delete":
                return Delete(item_id)
            case _:
                content = self.random.randbytes(self.random.choice(CONTENT_SIZES))
                return Put(item_id, content, kind="contact", media_type="text/vcard")

    def _notify(self) -> None:
        targets = [
            device.target for device in self.devices if device.online and device.target is not None
        ]
        by_name = {device.name: device for device in self.devices}
        with self.feeds.snapshot(FEED) as snapshot:
            for push in pushes(
                snapshot,
                cursor=self.cursor,
                targets=targets,
                notification_content_bytes_max=PUSHED_CONTENT_BYTES_MAX,
            ):
                self.counts["pushes"] += 1
                self._check_push(by_name[push.device], snapshot.row(push.item_id), push.payload)
                if self.random.random() < self.faults.loss:
                    self.counts["pushes lost"] += 1
                    continue
                older = [row.seq for row in snapshot.rows(1, push.seq - 1)]
                after = max(older, default=0) if not snapshot.purged else None
                flying = Flying(push.payload, self.identities[push.seq], after)
                by_name[push.device].pushes.append(flying)
            self.cursor = snapshot.head

    def _check_push(self, device: SimDevice, row: Row | None, payload: bytes) -> None:
        """A content is pushed to a device at most once."""
        push = wire.decode(Notification, payload, bytes_max=NOTIFICATION_BYTES_MAX)
        if row is None or push.put is None or not push.put.content:
            return
        content = self.identities[row.c]
        if content in device.contents_pushed:
            raise Broken(f"the content of {row.id} was pushed to {device.name} twice")
        device.contents_pushed.add(content)

    def _deliver_push(self, device: SimDevice) -> None:
        if not device.pushes:
            return
        # Any of them, so that they come in any order and after any time.
        index = self.random.randrange(len(device.pushes))
        flying = device.pushes[index]
        if self.random.random() >= self.faults.double:
            del device.pushes[index]
        else:
            self.counts["pushes doubled"] += 1
        push = wire.decode(Notification, flying.payload, bytes_max=NOTIFICATION_BYTES_MAX)
        before = device.replica.state.collection
        result, _ = device.replica.on_push(push)
        self.counts[f"push {result}"] += 1
        if before is not None and flying.after is not None:
            self._check_interval(device, before.held, flying.after, push.n, result)
        if result in {PushResult.STORED, PushResult.GAP}:
            device.taken.add(flying.change)
        self._check(device)

    def _ask(self, device: SimDevice) -> None:
        request = device.replica.request(self._random_id(), answer_bytes_max=ANSWER_BYTES_MIN)
        device.taken_when_asked[request.id] = frozenset(device.taken)
        device.contents_when_asked[request.id] = frozenset(
            item.digest for item in device.store.items() if item.held_bytes
        )
        device.requests.append(wire.encode(request, device.form))
        self.counts["requests"] += 1

    def _serve(self, device: SimDevice, *, lossy: bool = True) -> None:
        if not device.requests:
            return
        payload = device.requests.pop(self.random.randrange(len(device.requests)))
        if lossy and self.random.random() < self.faults.double:
            device.requests.append(payload)
        form = wire.form_of(payload)
        request = messages.decode_request(payload)
        with self.feeds.snapshot(FEED) as snapshot:
            response = respond(request, snapshot, form=form, bounds=BOUNDS)
        if response.replica is not None:
            known = response.replica
            device.target = Target(device.name, known.base, known.view_id, known.form)
        encoded = wire.encode(response.answer, form)
        if len(encoded) > ANSWER_BYTES_MIN:
            raise Broken(
                f"an answer of {len(encoded)} bytes where {ANSWER_BYTES_MIN} were asked for"
            )
        if lossy and self.random.random() < self.faults.loss:
            self.counts["answers lost"] += 1
            return
        device.answers.append(self._answered(device, response.answer, encoded, response.sent))

    def _answered(
        self, device: SimDevice, answer: Answer, encoded: bytes, sent: tuple[tuple[str, int], ...]
    ) -> Answered:
        """What of an answer the device held when it asked for it."""
        filling = device.replica.state.filling
        changes = [self.identities[seq] for _, seq in sent]
        taken = device.taken_when_asked[answer.id]
        held = [item_id for item_id, seq in sent if self.identities[seq] in taken]
        contents = device.contents_when_asked[answer.id]
        twice = [
            change.item_id
            for change in (answer.delta.changes if answer.delta else ())
            if change.put is not None and change.put.content and change.put.digest in contents
        ]
        return Answered(encoded, filling, changes, held, twice)

    def _deliver_answer(self, device: SimDevice, *, lossy: bool = True) -> None:
        if not device.answers:
            return
        answered = device.answers.pop(self.random.randrange(len(device.answers)))
        if lossy and self.random.random() < self.faults.double:
            device.answers.append(answered)
        answer = wire.decode(Answer, answered.payload, bytes_max=ANSWER_BYTES_MAX)
        base = device.replica.state.base
        result = device.replica.on_answer(answer)
        self.counts[f"answers {result.fate}"] += 1
        if result.fate is AnswerFate.VOID:
            device.taken.clear()
            device.versions.clear()
            return
        if result.fate is not AnswerFate.TAKEN:
            return
        assert answer.delta is not None
        if base is not None and base != answer.delta.base:
            raise Broken(f"{device.name}: base went from {base} to {answer.delta.base}")
        if not answered.filling and answered.resent_though_held:
            raise Broken(f"{device.name} held {answered.resent_though_held} and got them again")
        if not answered.filling and answered.content_though_held:
            raise Broken(f"{device.name} held contents of {answered.content_though_held}")
        device.taken.update(answered.changes)
        self.counts["changes resent"] += len(answer.delta.changes)
        self.counts["remainders"] += len(answer.delta.remainders)
        self._check(device)

    # Promises

    @staticmethod
    def _check_interval(
        device: SimDevice, held: TokenSet, after: int, n: int, result: PushResult
    ) -> None:
        """Only what was lost leaves a hole, and is missed."""
        base, collection = device.replica.state.base, device.replica.state.collection
        assert base is not None
        assert collection is not None
        unbroken = held.covers(tokens.oldest(base), tokens.compress(after, base))
        if unbroken and result is PushResult.GAP:
            raise Broken(f"{device.name} missed something before {n}, and nothing was lost")
        if (
            unbroken
            and result is PushResult.STORED
            and not collection.held.covers(tokens.oldest(base), n)
        ):
            raise Broken(f"{device.name} has a hole before {n}, and nothing was lost")

    def _check(self, device: SimDevice) -> None:
        for item in device.store.items():
            held = b"".join(device.store.content(item.id))
            if len(held) != item.held_bytes:
                raise Broken(
                    f"{device.name} counts {item.held_bytes} B of {item.id}, not {len(held)}"
                )
            if item.whole and (len(held) != item.size or digest_of([held]) != item.digest):
                raise Broken(f"{device.name} takes a part of {item.id} for the whole")
            if item.n is not None:
                if item.n < device.versions.get(item.id, item.n):
                    raise Broken(f"{device.name}: {item.id} went back to an older version")
                device.versions[item.id] = item.n

    def settle(self, *, rounds_max: int) -> int:
        """A quiet link: everything still on its way arrives, then all sync; rounds it took."""
        self.faults = Faults(loss=0, double=0, offline=0, restart=0, purge=0, restore=0)
        for device in self.devices:
            while device.pushes:
                self._deliver_push(device)
            self._ask(device)
        for round_number in range(1, rounds_max + 1):
            for device in self.devices:
                while device.requests:
                    self._serve(device, lossy=False)
                while device.answers:
                    self._deliver_answer(device, lossy=False)
            waiting = [device for device in self.devices if device.replica.needs_sync()]
            if not waiting:
                return round_number
            for device in waiting:
                self._ask(device)
        raise Broken(f"not settled after {rounds_max} rounds: {[it.name for it in waiting]}")

    def check_equal(self) -> None:
        """Every replica equals the feed, whole, and its set is one range."""
        with self.feeds.snapshot(FEED) as snapshot:
            wanted = {
                row.id: (row.wire_digest, row.folder, row.flags, row.size)
                for row in snapshot.items(after=None, limit=10_000)
            }
            head = snapshot.head
        for device in self.devices:
            held = {
                item.id: (item.digest, item.folder, item.flags, item.held_bytes)
                for item in device.store.items()
            }
            if held != wanted:
                raise Broken(f"{device.name} differs: {_difference(held, wanted)}")
            collection, base = device.replica.state.collection, device.replica.state.base
            assert collection is not None
            assert base is not None
            if not collection.held.covers(tokens.oldest(base), tokens.compress(head, base)):
                raise Broken(f"{device.name} is complete, and its token set is not")


def _difference(held: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    return sorted(key for key in held.keys() | wanted.keys() if held.get(key) != wanted.get(key))


def run(seed: int, *, events: int = 600) -> Counter[str]:
    """One run; what happened in it, counted.

    Raises:
        Broken: a promise was broken.
    """
    world = World(seed)
    for _ in range(events):
        world.step()
    world.counts[MOST_ROUNDS] = world.settle(rounds_max=120)
    world.check_equal()
    return world.counts
