"""The thread that takes what devices publish: statuses and sync requests."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from gateway.counters import Counters
from gateway.device import Device
from gateway.device_limits import Verdict
from gateway.feed import NoSuchFeedError, NotRenderedError, PoisonError, StorageError
from gateway.inbox import Inbox, WaitingFlood, WaitingRequest, WaitingStatus
from gateway.ledger import Ledger, Record
from gateway.limiting import Limiting
from gateway.outbound import Outbound
from gateway.registry import Registry
from gateway.rendering import Rendering
from gateway.responder import AnswerLimits, Response, respond
from gateway.rivals import WARNING
from gateway.state_file import SqliteStore
from sync_protocol import limits, messages, topics, wire
from sync_protocol.errors import ProtocolError
from sync_protocol.messages import Answer, Refused, Request
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Channel, ReplicaTopic, StatusTopic, Topics
from sync_protocol.wire import Format

_LOG: Final = logging.getLogger(__name__)

# So many damaged items are found and held back by one request; the next one finds more.
POISON_ITEMS_MAX: Final = 30
# A device whose answer was spoiled by an item that cannot be read just now asks again so soon.
POISON_RETRY_S: Final = 5
# A device whose view is still to be rendered asks again when that may be done.
RENDERED_ITEMS_PER_S: Final = 500
RENDERING_RETRY_S_MAX: Final = 60
_UNREADABLE: Final = ProtocolError("poison", "an item of this feed cannot be read at the gateway")
_BUSY: Final = ProtocolError("busy", "the feed is being rendered as this view wants it")
_FAILED: Final = ProtocolError("internal", "the gateway failed; try later")
_TOO_MUCH: Final = ProtocolError(
    "busy", "this device asks for more than its share: ask again later"
)


class Responding:
    """Takes messages from the transport's thread and works them off in its own."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        ledger: Ledger,
        registry: Registry,
        outbound: Outbound,
        topic_names: Topics,
        bounds: AnswerLimits,
        counters: Counters,
        unix_time: Callable[[], float],
        on_poison: Callable[[str, PoisonError], bool],
        on_unreadable: Callable[[StorageError], None],
        rendering: Rendering,
        limiting: Limiting,
        on_flood: Callable[[str, float], None],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._registry = registry
        self._outbound = outbound
        self._topics = topic_names
        self._bounds = bounds
        self._counters = counters
        self._unix_time = unix_time
        self._on_poison = on_poison
        self._on_unreadable = on_unreadable
        self._rendering = rendering
        self._limiting = limiting
        self._on_flood = on_flood
        self._inbox = Inbox()
        self._thread = threading.Thread(target=self._run, name="responder", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer what has come in, then stop."""
        if self._thread.is_alive():
            self._inbox.close()
            self._thread.join()

    def take(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Hand in a message; called by the transport, to which nothing is raised.

        What finds no room is dropped: a device asks again.

        Args:
            topic: as it came.
            payload: as it came.
            retained: the broker had kept it.
        """
        try:
            self._put(topic, payload, retained=retained)
        except Exception:
            self._counters.count("errors in a handler")
            _LOG.exception("a message of %d bytes could not be taken", len(payload))

    def _put(self, topic: str, payload: bytes, *, retained: bool) -> None:
        try:
            named = self._topics.parse(topic)
        except ProtocolError:
            self._counters.count("messages on strange topics")
            return
        match named:
            case StatusTopic(who):
                if who != GATEWAY:  # its own is among them: no filter for statuses can leave it out
                    self._put_status(who, payload)
            case ReplicaTopic(device, feed, Channel.REQUEST):
                if retained:  # it would be answered again at each start
                    self._counters.count("requests dropped, retained")
                else:
                    self._put_request(device, feed, payload)
            case _:
                self._counters.count("messages on strange topics")

    def _put_status(self, device: str, payload: bytes) -> None:
        self._look_for_flood(device)
        if not self._limiting.told(device):
            self._counters.count("statuses dropped, too many")
        elif not self._inbox.put_status(device, payload):
            self._counters.count("messages dropped, queue full")

    def _put_request(self, device: str, feed: str, payload: bytes) -> None:
        self._look_for_flood(device)
        verdict = self._limiting.asked(device)
        if verdict is Verdict.DROP:
            self._counters.count("requests dropped, too many")
            return
        request = WaitingRequest(device, feed, payload, is_refused=verdict is Verdict.REFUSE)
        match self._inbox.put_request(request):
            case "replaced":
                self._counters.count("requests replaced by newer ones")
            case "full":
                self._counters.count("messages dropped, queue full")
            case "taken":
                pass

    def _look_for_flood(self, device: str) -> None:
        shut_out_s = self._limiting.flooded(device)
        if shut_out_s is not None:
            self._counters.count("floods of a device")
            self._inbox.put_flood(WaitingFlood(device, shut_out_s))

    def _run(self) -> None:
        while (waiting := self._inbox.take()) is not None:
            began = self._limiting.now()
            try:
                match waiting:
                    case WaitingStatus(device, payload):
                        self._status(device, payload)
                    case WaitingRequest():
                        self._request(waiting)
                    case WaitingFlood(device, shut_out_s):
                        self._on_flood(device, shut_out_s)
            except Exception:
                self._counters.count("errors in a handler")
                _LOG.exception("what device %s sent could not be handled", waiting.device)
            self._limiting.worked(waiting.device, since=began)

    def _status(self, device: str, payload: bytes) -> None:
        match payload:
            case topics.ONLINE:
                if (enrolled := self._store.device(device)) is None:
                    self._counters.count("messages of unknown devices")
                    return
                self._recall(enrolled)
                self._registry.came_online(device, self._unix_time())
            case topics.OFFLINE | b"":
                self._registry.went_offline(device)
            case _:
                self._counters.count("statuses refused")

    def _recall(self, enrolled: Device) -> None:
        """Have a device's records at hand: those of its other feeds are saved with each one."""
        self._registry.keep_only(enrolled.id, enrolled.generation)
        if not self._registry.is_known(enrolled.id):
            records = self._ledger.load(enrolled.id, enrolled.generation)
            self._registry.recall(enrolled.id, records)

    def _request(self, waiting: WaitingRequest) -> None:
        self._counters.count("requests")
        device, feed, payload = waiting.device, waiting.feed, waiting.payload
        # Before anything of it is read.
        verdict = Verdict.REFUSE if waiting.is_refused else self._limiting.begun(device)
        match verdict:
            case Verdict.TAKE:
                response = self._answer(device, feed, payload)
            case Verdict.REFUSE:
                self._counters.count("requests refused: too much for one device")
                soon = self._limiting.retry_after_s(device)
                response = _refusal(payload, _TOO_MUCH, retry_after_s=soon)
            case Verdict.DROP:
                self._counters.count("requests dropped, too many")
                return
        if response is None:
            return  # no request id could be read: there is nobody to tell
        # A refusal goes to what cannot be read, too.
        form = Format.JSON if payload[:1] == b"{" else Format.CBOR
        encoded = wire.encode(response.answer, form)
        assert len(encoded) <= limits.ANSWER_BYTES_MAX, "an answer that no device may read"  # noqa: S101
        self._limiting.answered(device, len(encoded))
        self._outbound.answer(device, feed, encoded, response)

    def _answer(self, device: str, feed: str, payload: bytes) -> Response | None:
        response: Response | None
        try:
            response = self._response(device, feed, payload, wire.form_of(payload))
        except ProtocolError as error:
            self._counters.count(f"requests refused: {error.reason}")
            _LOG.info("a request of %s for %s was refused: %s", device, feed, error)
            soon = 1 if error.reason == "busy" else None
            response = _refusal(payload, error, retry_after_s=soon)
        except PoisonError:
            response = _refusal(payload, _UNREADABLE, retry_after_s=POISON_RETRY_S)
        except NotRenderedError as error:
            self._counters.count("requests refused: busy")
            self._rendering.want(feed, error.representations)
            response = _refusal(payload, _BUSY, retry_after_s=self._rendered_in_s(feed))
        except StorageError as error:
            self._on_unreadable(error)
            response = _refusal(payload, _FAILED)
        except Exception:
            self._counters.count("errors in a handler")
            _LOG.exception("a request of %s for %s could not be answered", device, feed)
            response = _refusal(payload, _FAILED)
        return response

    def _response(self, device: str, feed: str, payload: bytes, form: Format) -> Response:
        request = messages.decode_request(payload)
        enrolled = self._store.device(device)
        if enrolled is None:
            raise ProtocolError("device", f"device {device!r} is not enrolled here")
        if feed not in enrolled.feeds:
            raise ProtocolError("feed", f"device {device!r} may not hold a feed {feed!r}")
        if self._registry.asked(device, feed, request.view_id, now=self._unix_time()):
            self._counters.count("device ids found with two agents")
            _LOG.warning("device %s: %s", device, WARNING)
        self._rendering.check(request.view)
        try:
            response = self._sound(feed, request, enrolled, form)
        except NoSuchFeedError as error:
            raise ProtocolError("feed", str(error)) from error
        if not self._registry.is_of(device, enrolled.generation):
            raise ProtocolError("busy", "what the device may see has just changed: ask again")
        if response.replica is not None:
            known = response.replica
            record = Record(
                generation=enrolled.generation,
                base=known.base,
                view_id=known.view_id,
                form=known.form,
                epoch=known.epoch,
                held=known.held,
                synced_at=int(self._unix_time()),
                view=known.view,
            )
            self._recall(enrolled)
            self._registry.synced(device, feed, record)
        self._counters.count("changes resent", len(response.sent))
        return response

    def _rendered_in_s(self, feed: str) -> int:
        """When the feed may be rendered, in seconds."""
        with self._store.snapshot(feed) as snapshot:
            return min(1 + int(snapshot.item_count) // RENDERED_ITEMS_PER_S, RENDERING_RETRY_S_MAX)

    def _sound(self, feed: str, request: Request, enrolled: Device, form: Format) -> Response:
        """The answer; what is damaged for good is held back at once, and does not spoil it."""
        for _ in range(POISON_ITEMS_MAX):
            try:
                return self._respond(feed, request, enrolled, form)
            except PoisonError as poison:
                if not self._on_poison(feed, poison):
                    raise
        return self._respond(feed, request, enrolled, form)

    def _respond(self, feed: str, request: Request, enrolled: Device, form: Format) -> Response:
        view = enrolled.allowed.bound(request.view, now=int(self._unix_time()))
        with self._store.snapshot(feed) as snapshot:
            return respond(
                request,
                snapshot,
                view=view,
                generation=enrolled.generation,
                form=form,
                bounds=self._bounds,
            )


def _refusal(
    payload: bytes, error: ProtocolError, *, retry_after_s: int | None = None
) -> Response | None:
    _, request_id = messages.envelope(payload)
    if request_id is None:
        return None
    refused = Refused(
        reason=error.reason[: limits.REASON_CHARS_MAX],
        message=str(error)[: limits.MESSAGE_CHARS_MAX],
        retry_after_s=retry_after_s,
        versions=(messages.VERSION,) if error.reason == "version" else (),
    )
    return Response(Answer(v=messages.VERSION, id=request_id, refused=refused), replica=None)
