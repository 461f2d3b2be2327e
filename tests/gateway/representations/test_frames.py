from gateway.representations import frames


def test_a_head_is_its_words() -> None:
    assert frames.words(frames.head(b"render", b"compact", b"contact")) == [
        b"render",
        b"compact",
        b"contact",
    ]


def test_a_reason_is_one_line_that_can_be_printed() -> None:
    assert frames.reason("a\nb\x1b[1m  c\u202e") == "a b [1m c"
    assert frames.reason("") == ""
    assert frames.reason("a" * 200) == "a" * 200
    assert frames.reason("a" * 201) == "a" * 197 + "..."
