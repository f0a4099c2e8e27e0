"""How long the sandbox waits for an answer on a machine that has time for it, and on one that has not."""

from __future__ import annotations

import asyncio

import leaping
import pytest
from convoy_sandbox.network.patience import Patience


def test_what_never_comes_is_waited_for_as_long_as_was_said() -> None:
    async def waited() -> float:
        with pytest.raises(TimeoutError):
            async with Patience(3.0):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert leaping.run(waited(), 0.0) == pytest.approx(3.0)


@pytest.mark.parametrize(("turns", "comes"), [(10, True), (100, False)])
def test_turns_that_take_as_long_as_all_of_it_are_not_the_answers_fault(turns: int, comes: bool) -> None:
    async def came() -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, leaping.LeapingLoop)

        def busy() -> None:
            loop._leaping.time += 1.0
            loop.call_soon(busy)

        busy()
        try:
            async with Patience(1.0):
                for _turn in range(turns):
                    await asyncio.sleep(0)
        except TimeoutError:
            return False
        return True

    assert leaping.run(came(), 0.0) is comes
