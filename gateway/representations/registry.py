"""Which representations there are: `compact`, and those that other packages bring."""

import functools
import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from gateway.representations.compact import COMPACT
from gateway.representations.representation import (
    Rendered,
    Renderer,
    RenderError,
    Representation,
)

__all__ = [
    "ENTRY_POINTS",
    "RenderError",
    "Rendered",
    "Renderer",
    "Representation",
    "installed",
    "installed_names",
    "with_those_of",
]

ENTRY_POINTS: Final = "tallysync.representations"

_log = logging.getLogger(__name__)


@functools.cache
def installed(*names: str) -> Mapping[str, Representation]:
    """`compact`, and those of `names` that entry points bring, by name.

    What nobody names is not even imported, for that runs code of others.
    """
    points = entry_points(group=ENTRY_POINTS)
    return with_those_of(point for point in points if point.name in names)


def installed_names() -> Sequence[str]:
    """What all representations are called, sorted. Nothing is imported, so some may be broken."""
    return sorted({COMPACT.name, *entry_points(group=ENTRY_POINTS).names})


def with_those_of(points: Iterable[EntryPoint]) -> Mapping[str, Representation]:
    """`compact` and the representations of `points`; one that is broken is logged and left.

    An entry point is called as its representation is, so that two packages with the same name are
    seen; of them the one that sorts first is taken, whatever order they were installed in.
    """
    found = {COMPACT.name: COMPACT}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        try:
            representation = _loaded(point, taken=found)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # its module may even exit
            why = str(error) or type(error).__name__
            _log.warning("the representation %s (%s) is left: %s", point.name, point.value, why)
        else:
            found[representation.name] = representation
    return MappingProxyType(found)


def _loaded(point: EntryPoint, *, taken: Container[str]) -> Representation:
    representation = point.load()
    if not isinstance(representation, Representation):
        raise TypeError("it is no Representation")
    if representation.name != point.name:
        raise ValueError("it has another name than its entry point")
    if representation.name in taken:
        raise ValueError("there is already one of that name")
    return representation
