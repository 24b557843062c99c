"""Something that is looked at again and again, beside what a test does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def polled(look: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `look` every `seconds` until the end of the block, or until it returns something true."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds) and not look():
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
