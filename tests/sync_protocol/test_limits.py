"""The limits are those that docs/protocol.md says."""

from sync_protocol import limits


def test_of_messages_in_bytes() -> None:
    assert limits.REQUEST_BYTES_MAX == 131_072
    assert limits.ANSWER_BYTES_MAX == 1_048_576
    assert limits.ANSWER_BYTES_DEFAULT == 262_144
    assert limits.ANSWER_BYTES_MIN == 4_096
    assert limits.NOTIFICATION_BYTES_MAX == 262_144
    assert limits.TOKEN_SET_BYTES_MAX == 32_768


def test_of_what_is_in_them() -> None:
    assert limits.ANSWER_CHANGES_MAX == 2_000
    assert limits.ANSWER_REMAINDERS_MAX == 64
    assert limits.REQUEST_WANTED_MAX == 64
    assert limits.INVENTORY_RANGES_MAX == 256
    assert (limits.VIEW_KINDS_MAX, limits.VIEW_FOLDERS_MAX) == (16, 64)
    assert limits.CONTENT_BYTES_MAX == 26_214_400
    assert limits.DEPTH_MAX == 8
    assert limits.INTEGER_MAX == 9_007_199_254_740_991


def test_of_names() -> None:
    assert limits.ITEM_ID_BYTES_MAX == 255
    assert limits.FOLDER_BYTES_MAX == 255
    assert (limits.FLAGS_MAX, limits.FLAG_CHARS_MAX) == (32, 64)
