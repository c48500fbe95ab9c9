import select

from lambda_image.comm.operations.wakeup import Wakeup


def readable(wakeup: Wakeup) -> bool:
    poll = select.poll()
    poll.register(wakeup, select.POLLIN)
    return bool(poll.poll(0))


def test_a_notice_lasts_until_it_is_cleared() -> None:
    wakeup = Wakeup()
    assert not readable(wakeup)
    wakeup.notify()
    assert readable(wakeup)
    wakeup.clear()
    assert not readable(wakeup)
    wakeup.close()


def test_notices_that_nobody_reads_and_notices_after_the_end_do_no_harm() -> None:
    wakeup = Wakeup()
    for _ in range(10_000):
        wakeup.notify()
    wakeup.clear()
    assert not readable(wakeup)
    wakeup.close()
    wakeup.notify()
