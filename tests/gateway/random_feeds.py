"""Feeds of random items, with names that cost the most on one of the two wires."""

from dataclasses import replace

from hypothesis import strategies as st

from gateway.rows import Alter, Delete, Mutation
from sync_protocol.limits import INTEGER_MAX
from tests.gateway.sample_feeds import put

CONTENT_SIZES = (0, 1, 40, 700, 1_023, 4_000, 4_096, 9_000, 70_000)

names = st.one_of(
    st.text('"\\', min_size=1, max_size=255),
    st.text("ä€\U0001f600", min_size=1, max_size=60),
    st.text("abc", min_size=1, max_size=255),
)
_moments = st.sampled_from((None, 1_700_000_000, -INTEGER_MAX))


@st.composite
def puts(draw: st.DrawFn, *, sizes: tuple[int, ...] = CONTENT_SIZES) -> Mutation:
    made = put(
        draw(names),
        b"x" * draw(st.sampled_from(sizes)),
        kind=draw(st.sampled_from(("contact", "k" * 32))),
        media_type=draw(st.sampled_from(("text/vcard", "a" * 63 + "/" + "b" * 63))),
        folder=draw(st.one_of(st.just(""), names)),
        flags=tuple(draw(st.lists(st.sampled_from(("\\Seen", "\\" * 64, "a")), max_size=3))),
        date=draw(_moments),
    )
    return replace(made, until=draw(_moments))


def with_later_changes(puts: list[Mutation]) -> list[Mutation]:
    """The puts, then changes of flags and deletes of some of them, so that c is not always n."""
    ids = list(dict.fromkeys(it.id for it in puts))
    return [
        *puts,
        *(Alter(item_id, flags=("x", "y")) for item_id in ids[::3]),
        *(Delete(item_id) for item_id in ids[::5]),
    ]
