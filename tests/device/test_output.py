"""What is kept of a command's output."""

import random

import pytest

from tminus.device.output import Output


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
