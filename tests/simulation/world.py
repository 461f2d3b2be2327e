"""The simulated world: what happens next, until all is quiet, and whether it ends well."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final, assert_never

from device_agent.feed_sync import SyncDone
from device_agent.results import AnswerFate
from sync_protocol import limits, tokens, wire
from sync_protocol.limits import ANSWER_BYTES_MIN
from sync_protocol.messages import Answer, Notification, Request
from tests.simulation.chronicle import Broken
from tests.simulation.device_side import NEVER, SimDevice, SimReplica
from tests.simulation.faults import Faults
from tests.simulation.gateway_side import SimGateway
from tests.simulation.link import MESSAGES_MAX, Ask, Flying, Hail, Link, Push, Reply
from tests.simulation.promises import REQUESTS_MAX
from tests.simulation.views import draw_view
from tests.simulation.weather import Weather, draw

EVENTS_DEFAULT: Final = 5_000
EVENTS: Final = "events"
MOST_ROUNDS: Final = "rounds to settle, most"


class Stage:
    """Everything there is, and what happens to it when somebody says what happens next."""

    def __init__(
        self,
        random: Random,
        *,
        weather: Weather,
        feeds: Sequence[str],
        devices: Sequence[SimDevice],
    ) -> None:
        self.random = random
        self.counts: Counter[str] = Counter()
        self.weather = weather
        self.feeds = feeds
        self.devices = devices
        self.replicas = [replica for device in devices for replica in device.replicas]
        self.link = Link(random, weather, self._lost, MESSAGES_MAX * len(devices))
        self.gateway = SimGateway(
            random,
            link=self.link,
            devices=self.devices,
            feeds=self.feeds,
            encoded=weather.encoded,
            slow=weather.slow,
            counts=self.counts,
        )
        self.clock = 0.0
        self.events = 0
        self.faults = Faults(
            random,
            gateway=self.gateway,
            link=self.link,
            devices=self.devices,
            deliver=self.deliver,
            clock=lambda: self.clock,
            counts=self.counts,
        )

    def begin(self) -> None:
        """All devices come, and sync."""
        for feed in self.feeds:
            self.gateway.notify(feed)
        for device in self.devices:
            self.gateway.came_online(device)
            device.connect(self.clock)

    def wait_until(self, clock: float) -> None:
        """Time goes by, and never back."""
        self.clock = max(self.clock, clock)
        self.gateway.now = int(self.clock) + 1_000_000

    def _lost(self, kind: str) -> None:
        self.counts[f"{kind} lost"] += 1

    def fire(self, replica: SimReplica) -> bool:
        """Its timer came; whether it asked."""
        match replica.on_timer(self.clock):
            case Request() as request:
                asked = replica.witness.asks(request)
                form = replica.device.form
                message = wire.encode(request, form) if self.weather.encoded else request
                self.link.send(Ask(replica, message, asked))
                return True
            case SyncDone():
                self.counts["request timed out"] += 1
            case None:
                pass
        return False

    # Messages

    def deliver(self, flying: Flying) -> bool:
        """A message arrives; whether that is an event: what reaches the gateway is not counted."""
        match flying:
            case Ask():
                self._serve(flying)
                return False
            case Push() if flying.replica.device.connected:
                self._push(flying)
            case Reply() if flying.replica.device.connected:
                self._reply(flying)
            case Hail() if flying.device.connected:
                self._hail(flying.device)
            case Push() | Reply() | Hail():
                self.counts[f"{flying.kind} to nobody"] += 1
            case _:
                assert_never(flying)
        return True

    def _serve(self, ask: Ask) -> None:
        self.counts["request"] += 1
        self.gateway.serve(ask)
        if self.random.random() < 0.3:
            self.gateway.write_ledger()

    def _push(self, push: Push) -> None:
        replica, message = push.replica, push.message
        if isinstance(message, bytes):
            message = wire.decode(Notification, message, bytes_max=limits.NOTIFICATION_BYTES_MAX)
        witness = replica.witness
        if push.shown.version.number < witness.newest_pushed:
            self.counts["push reordered"] += 1
        collection = replica.sync.replica.state.collection
        result, _ = replica.sync.on_push(self.clock, message)
        replica.set_timer()
        self.counts[f"push {result}"] += 1
        state = replica.sync.replica.state
        witness.pushed(
            replica.store,
            message,
            result,
            shown=push.shown,
            restores=push.restores,
            since=state.since,
        )
        if collection is not None and push.after is not None:
            witness.interval(collection.held, state, message.n, result, push.after)

    def _reply(self, reply: Reply) -> None:
        replica, message = reply.replica, reply.message
        if isinstance(message, bytes):
            message = wire.decode(Answer, message, bytes_max=limits.ANSWER_BYTES_MAX)
        base = replica.sync.replica.state.base
        result, _ = replica.sync.on_answer(self.clock, message)
        replica.set_timer()
        self.counts[f"answer {result.fate}"] += 1
        if result.fate is not AnswerFate.NOT_AWAITED:
            last_number = self.gateway.chronicles[replica.feed].last_number
            replica.witness.asks_again(
                message,
                at_once=replica.timer <= self.clock,
                happened=(last_number, self.faults.happened),
            )
        if result.fate is AnswerFate.TAKEN:
            if base not in {None, replica.sync.replica.state.base}:
                raise Broken(f"{replica.witness.name}: its base is no longer {base}")
            replica.witness.answered(
                replica.store,
                message,
                result,
                shown=reply.shown,
                compared=reply.compared,
                in_view=reply.in_view,
                held_back=reply.held_back,
                generation=reply.generation,
                restores=reply.restores,
                since=replica.sync.replica.state.since,
            )

    def _hail(self, device: SimDevice) -> None:
        self.counts["hail"] += 1
        for replica in device.replicas:
            replica.sync.gateway_returned(self.clock)
            replica.set_timer()

    # Quiet

    def settle(self, *, rounds_max: int = REQUESTS_MAX) -> int:
        """Everything on its way arrives, and all sync until nothing is missing; rounds it took.

        Each round is one request of every replica that lacks something, and its answer.
        """
        for feed in self.feeds:
            self.gateway.end_quarantine(feed)
            self.gateway.notify(feed)
        self._drain()
        for device in self.devices:
            device.disconnect()
            self.gateway.came_online(device)
            device.connect(self.clock)
        waiting = self.replicas
        for round_number in range(1, rounds_max + 1):
            for replica in waiting:
                self.clock = max(self.clock, replica.timer)
                self.fire(replica)
                self.events += 1
            self._drain()
            waiting = [it for it in waiting if it.sync.replica.needs_sync()]
            if not waiting:
                return round_number
        names = [it.witness.name for it in waiting]
        raise Broken(f"not settled after {rounds_max} rounds: {', '.join(names)}")

    def _drain(self) -> None:
        while self.link.flying:
            self.events += self.deliver(self.link.take_first())

    def end_well(self) -> int:
        """All settles, all are equal, and a repeat brings nothing; rounds it took.

        Then what is too large to come by itself is fetched.
        """
        rounds = self.settle()
        self.check_end()
        for replica in self.replicas:
            for item_id in replica.incomplete():
                replica.fetch(self.clock, item_id)
        rounds = max(rounds, self.settle())
        self.check_end()
        if incomplete := [it.witness.name for it in self.replicas if it.incomplete()]:
            raise Broken(f"not all is there that was fetched by {', '.join(incomplete)}")
        changes = self.counts["changes sent"], self.counts["remainders sent"]
        self.settle(rounds_max=1)
        if changes != (self.counts["changes sent"], self.counts["remainders sent"]):
            raise Broken("a sync with nothing missing brought something")
        return rounds

    def check_end(self) -> None:
        """Every replica is what its view shows of its feed, whole, and its set is one range."""
        for feed in self.feeds:
            self.gateway.check_feed(feed)
        for replica in self.replicas:
            self._check_equal(replica)

    def _check_equal(self, replica: SimReplica) -> None:
        name, store = replica.witness.name, replica.store
        chronicle = self.gateway.chronicles[replica.feed]
        state = replica.sync.replica.state
        view = self.gateway.allowed[replica.device.name].bound(state.view, now=self.gateway.now)
        view = view.model_copy(update={"since": state.since})
        replica.check_view()
        in_view = {
            item_id: shown.seen
            for item_id, shown in chronicle.in_view(view).items()
            if shown.seen is not None
        }
        replica.witness.check_all(store)
        held = {item.id: item for item in store.items()}
        if held.keys() != in_view.keys():
            raise Broken(f"{name} differs in {sorted(held.keys() ^ in_view.keys())}")
        for item_id, seen in in_view.items():
            item = held[item_id]
            if replica.witness.held[item_id].facts != seen.facts:
                raise Broken(f"{name} has an older {item_id}")
            most = replica.remainder_bytes_max
            is_left = most is not None and item.size > most and not item.is_fetched
            if not (item.whole or (is_left and (item.held_bytes or view.portion_bytes == 0))):
                raise Broken(f"{name} has {item.held_bytes} B of {item_id}")
        assert state.base is not None
        assert state.collection is not None
        head = tokens.compress(chronicle.head, state.base)
        if not state.collection.held.covers(tokens.oldest(state.base), head):
            raise Broken(f"{name} is complete, and its token set is not")


class World(Stage):
    """A stage on which chance says what happens next, one event at a time."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        weather = draw(random)
        feeds = [f"feed-{number}" for number in range(random.choice((1, 1, 2, 4)))]
        count = random.choice((2, 4, 6, 8, 8))
        devices = [_device(f"device-{number}", feeds, weather, random) for number in range(count)]
        super().__init__(random, weather=weather, feeds=feeds, devices=devices)
        self._others = weather.edits + weather.timers + weather.faults
        self._kinds = list(weather.kinds)
        self._often = list(weather.kinds.values())
        for _ in range(random.choice((60, 250) if weather.slow else (0, 5, 60, 250))):
            self.gateway.edit(random.choice(feeds))
        self.begin()

    def _pick(self, count: int) -> int:
        return int(self.random.random() * count)

    # Events

    def run(self, events: int) -> None:
        """So many random events."""
        while self.events < events:
            self.events += self._step()

    def _step(self) -> bool:
        """Something that can happen now; False if it changed nothing."""
        chance = self.random.random() * (len(self.link.flying) + self._others)
        weather = self.weather
        if chance < weather.edits:
            return self._edit()
        chance -= weather.edits
        if chance < weather.timers:
            return self._timer()
        chance -= weather.timers
        if chance < weather.faults:
            kind = self.random.choices(self._kinds, self._often)[0]
            happened = self.faults.happen(kind, self.devices[self._pick(len(self.devices))])
            self.counts[kind] += happened
            return happened
        if not self.link.flying:
            return False
        flying, fate = self.link.take()
        if fate:
            self.counts[f"{flying.kind} {fate}"] += 1
        if fate in {"lost", "late"}:
            return fate == "lost"
        return self.deliver(flying)

    def _edit(self) -> bool:
        feed = self.feeds[self._pick(len(self.feeds))]
        if not self.gateway.edit(feed):
            return False
        self.counts["edit"] += 1
        if self.random.random() < self.weather.prompt:
            self.gateway.notify(feed)
        return True

    def _timer(self) -> bool:
        replica = min(self.replicas, key=_timer)
        if replica.timer == NEVER:
            return False
        self.wait_until(replica.timer)
        self.counts["timer"] += 1
        self.fire(replica)
        return True


def _device(name: str, feeds: Sequence[str], weather: Weather, random: Random) -> SimDevice:
    form = random.choice(weather.forms)
    device = SimDevice(name, form, random.choice((ANSWER_BYTES_MIN, 16_384)), random)
    some = random.sample(feeds, random.randint(1, len(feeds)))
    device.replicas = [SimReplica(device, feed, draw_view(random, feed)) for feed in sorted(some)]
    return device


def _timer(replica: SimReplica) -> float:
    return replica.timer


def run(seed: int, *, events: int = EVENTS_DEFAULT) -> Counter[str]:
    """One run; what happened in it, counted.

    Raises:
        Broken: a promise was broken.
    """
    world = World(seed)
    world.run(events)
    world.counts[MOST_ROUNDS] = world.end_well()
    world.counts[EVENTS] = world.events
    return world.counts
