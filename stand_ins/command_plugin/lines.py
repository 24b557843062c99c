"""Shows the output of a command while it runs."""

from __future__ import annotations

import codecs

from stand_ins.plugin.log import Log


class LineLogger:
    """Shows the output of a command line by line, according to its `logging` input."""

    def __init__(self, log: Log, logging: str | None) -> None:
        self._log = log
        self._shown = {False: logging in (None, "stdout", "stdoutAndStderr")}
        self._shown[True] = logging in (None, "stderr", "stdoutAndStderr")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def add(self, data: bytes, from_stderr: bool) -> None:
        """Show the lines that are complete with this output."""
        if self._shown[from_stderr]:
            *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
            for line in lines:
                self._log.status(line)

    async def end(self) -> None:
        """Show the last line, complete or not, and wait until all are shown."""
        if self._rest:
            self._log.status(self._rest)
        await self._log.drain()
