"""HTTP connections that cannot be held open, and that know who opened them.

They are uvicorn's, with limits before the body.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from factory_assets.serving.http.limits import Limits
from factory_resources.security.peer_user import Peer


class _HeadersTooLargeError(Exception):
    """Raised into the parser, which gives up and has the sender answered with status 400."""


def limited(limits: Limits) -> type[HttpToolsProtocol]:
    """Return the protocol class, whose connections are closed at these limits."""
    return type("LimitedProtocol", (_LimitedProtocol,), {"limits": limits})


class _LimitedProtocol(HttpToolsProtocol):
    """Closes a connection that sends headers, or an answered body, slowly or without an end.

    Also one that does not read its answers.
    """

    limits: ClassVar[Limits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A copy of it is in the scope of each request, which costs no request anything.
        self.app_state = {"peer": Peer(transport.get_extra_info("socket"))}
        self._left, self._in_body, self._is_over = 0, False, False
        self._answering: Any = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._heard = self.loop.time()
        self._expect(self.limits.headers)
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._heard = self.loop.time()
        if self._deadline is None and self._is_answered():
            self._expect(self.limits.refused_body if self._in_body else self.limits.headers)
        self._left -= len(data)
        super().data_received(data)
        if self._deadline is not None and self._left < 0:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        # Headers that arrive with their end in one piece never ran into the deadline's size.
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.limits.headers:
            raise _HeadersTooLargeError(f"{size} bytes of headers")
        self._stop_waiting()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False
        if self._deadline is not None:
            # The body came after its answer: the connection is idle only now.
            self._stop_waiting()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.limits.idle, self.timeout_keep_alive_handler
            )

    def _unsupported_upgrade_warning(self) -> None:
        # The parser takes all that follows for the other protocol, and a body of this request
        # for its beginning: this one is answered, and no other.
        self._is_over = True
        self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        self._leave_unanswered()
        super().send_400_response(msg)
        self._require_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._require_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._require_reader()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._require_reader()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _leave_unanswered(self) -> None:
        # `cycle` is the request that came last; others before it may still be computed, and
        # writing their answers to a closed connection would be a fault.
        if self._answering is not None:
            self._answering.disconnected = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_watching()
        self._leave_unanswered()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Close the connection that has been silent longest of those that wait for no answer.

        Without that, whoever opens as many as there may be would keep everybody else out.
        """
        open_ones = (one for one in self.connections if isinstance(one, _LimitedProtocol))
        silent = (one for one in open_ones if not one._waits_for_answer())
        longest = min(silent, key=lambda one: one._heard)
        self.connections.discard(longest)
        longest.transport.abort()

    def _waits_for_answer(self) -> bool:
        """Whether a whole request has arrived, and what is answered is read."""
        cycle: Any = self.cycle
        return not (self._is_answered() or cycle.more_body or self._unread)

    def _is_answered(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _expect(self, size: int) -> None:
        """Wait for at most so many bytes until the headers, or the body, are complete."""
        self._left = size
        self._deadline = self.loop.call_later(self.limits.seconds, self.transport.abort)

    def _require_reader(self) -> None:
        """Close the connection if nothing is read for a while of what is to be read.

        Without that, an answer would wait for ever, and so would a closed connection.
        """
        self._stop_watching()
        if size := self.transport.get_write_buffer_size():
            self._unread = self.loop.call_later(self.limits.idle, self._require_less, size)

    def _require_less(self, size: int) -> None:
        if self.transport.get_write_buffer_size() < size:
            self._require_reader()
        else:
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
