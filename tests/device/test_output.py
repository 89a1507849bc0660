"""What is kept of a command's output."""

import random

import pytest

from tminus.device.output import LineWatch, Output


def _fed(cap: int, data: bytes, seed: int) -> Output:
    rng = random.Random(seed)
    output = Output(cap)
    while data:
        size = rng.randint(1, 40)
        output.add(data[:size])
        data = data[size:]
    return output


@pytest.mark.parametrize("cap", [2, 3, 10, 101, 1000])
@pytest.mark.parametrize("size", [0, 1, 2, 9, 10, 11, 100, 101, 102, 999, 1000])
def test_up_to_the_cap_all_is_kept_and_beyond_it_the_two_ends(cap: int, size: int) -> None:
    data = bytes(random.Random(size).randbytes(size))
    for seed in range(5):
        output = _fed(cap, data, seed)
        assert output.truncated == (size > cap)
        if size <= cap:
            assert bytes(output) == data
        else:
            tail = cap // 2
            gap = b"\n[... %d bytes left out ...]\n" % (size - cap)
            assert bytes(output) == data[: cap - tail] + gap + data[-tail:]


def test_memory_stays_at_one_and_a_half_caps() -> None:
    output = Output(1000)
    for _ in range(10_000):
        output.add(b"x" * 700)
    assert len(output._head) + len(output._tail) <= 1500 + 700


def test_a_cap_without_room_for_two_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Output(1)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"OK-1\r\n", True),
        (b"said\nOK-1\n", True),
        (b"ERR-1 failure: x\r\n", True),
        (b"OK-1\nmore", True),
        (b"O\nOK-\n\nOOK-1\nOK-1\n", True),
        (b"", False),
        (b"OK-1", False),  # not whole yet
        (b"said OK-1\n", False),
        (b"said\nOK-2\n", False),
        (b"said\rOK-1\r\n", False),
        (b":put (OK- . 1)\n", False),
    ],
)
def test_a_line_is_noticed_once_it_is_whole_however_it_comes(data: bytes, seen: bool) -> None:
    for size in (1, 2, 3, 7, 100):
        watch = LineWatch((b"OK-1", b"ERR-1"))
        for begin in range(0, len(data), size):
            watch.add(data[begin : begin + size])
        assert watch.seen == seen, size


def test_a_line_is_noticed_behind_much_that_is_no_line_and_little_of_that_is_held() -> None:
    watch = LineWatch((b"OK-1", b"ERR-1"))
    for _ in range(1000):
        assert not watch.add(b"x" * 7001)
        assert len(watch._held) <= len(b"\nERR-1")
    assert not watch.add(b"\nOK-1")
    assert not watch.add(b"y" * 100)
    assert watch.add(b"\n")


def test_without_a_line_to_wait_for_none_is_noticed() -> None:
    assert not LineWatch(()).add(b"OK-1\n")
