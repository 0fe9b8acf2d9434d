"""Models whose function is async: their tasks run on one event loop, which has a thread of its own."""
import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tensord.worker.requests import of_task


class AsyncRunner:
    """Runs a coroutine function, or one that is an async generator, for each request."""

    def __init__(self, function: Callable[..., Any], give: Callable[[Any], Any] | None, streams: bool,
                 concurrency: int) -> None:
        self.function, self.give = function, give
        self.run = self._stream if streams else self._once
        # One for each request, so that those whose clients do not read keep nobody else waiting.
        self.senders = ThreadPoolExecutor(concurrency, thread_name_prefix="answers") if streams else None
        self.tasks: dict[Any, asyncio.Task[None]] = {}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="asyncio", daemon=True).start()

    def start(self, values: tuple[Any, ...], request: Any) -> None:
        """Begins a task; called on the host's threads."""
        self.loop.call_soon_threadsafe(self._begin, values, request)

    def cancel(self, request: Any) -> None:
        """Cancels the task of a request; called on the host's threads."""
        self.loop.call_soon_threadsafe(self._cancel, request)

    def _begin(self, values: tuple[Any, ...], request: Any) -> None:
        token = of_task.set(request)
        task = self.loop.create_task(self.run(values, request))
        of_task.reset(token)
        self.tasks[request] = task
        task.add_done_callback(lambda done: self.tasks.pop(request, None))

    def _cancel(self, request: Any) -> None:
        if task := self.tasks.get(request):
            task.cancel()

    async def _once(self, values: tuple[Any, ...], request: Any) -> None:
        try:
            result = await self.function(*values)
            request.answer(self.give(result) if self.give else result, True)
        except BaseException as error:
            request.fail(error)

    async def _stream(self, values: tuple[Any, ...], request: Any) -> None:
        try:
            items = self.function(*values)
            if not hasattr(items, "__aiter__"):  # of an async function that gives one
                items = await items
            async for item in items if hasattr(items, "__aiter__") else _in_turn(items):
                item = self.give(item) if self.give else item
                # It may wait until the client has room.
                if not await self.loop.run_in_executor(self.senders, request.answer, item, False):
                    break
            request.answer(None, True)
        except BaseException as error:
            request.fail(error)


async def _in_turn(items: Any) -> Any:
    """The items of an iterator that is not async."""
    for item in items:
        yield item
