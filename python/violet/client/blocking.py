"""The proxy for programs without an event loop.

Its methods are `AsyncClient`'s, which has their documentation; `help(violet.Client.submit)` shows it too.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from violet._core import Transcript
from violet.analysis import Analysis
from violet.client.asynchronous import AsyncClient
from violet.client.task import Event, Task
from violet.client.upload import Source, UploadProgress


def _documented[T: type](cls: T) -> T:
    """The class with the documentation of `AsyncClient`'s methods at its own, which only refer to them."""
    for name, method in vars(cls).items():
        if (getattr(method, "__doc__", None) or "").startswith("See `AsyncClient."):
            method.__doc__ = getattr(AsyncClient, name).__doc__
    return cls


@_documented
class Client:
    """A proxy, for programs without an event loop; any number of threads may use one. Use it with `with`, or close it.

    Args:
        base_url: Address of the proxy, such as `http://127.0.0.1:8080`.
        api_key: The user's key; by default that of the variable `VIOLET_API_KEY`, none without it.
    """

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        self._client = AsyncClient(base_url, api_key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="violet-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        if self._loop.is_closed():
            return
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        progress: UploadProgress | None = None,
        resume: str | bool | None = None,
    ) -> str:
        """See `AsyncClient.upload`."""
        return self._run(self._client.upload(source, name=name, progress=progress, resume=resume))

    def submit(
        self,
        source: Source | None = None,
        *,
        text: str | None = None,
        upload_id: str | None = None,
        kind: Literal["transcription", "synthesis", "analysis"] | None = None,
        idempotency_key: str | None = None,
        name: str | None = None,
        progress: UploadProgress | None = None,
        **options: object,
    ) -> Task:
        """See `AsyncClient.submit`."""
        work = self._client.submit(
            source,
            text=text,
            upload_id=upload_id,
            kind=kind,
            idempotency_key=idempotency_key,
            name=name,
            progress=progress,
            **options,
        )
        return self._run(work)

    def task(self, task_id: str, *, wait_s: float = 0.0) -> Task:
        """See `AsyncClient.task`."""
        return self._run(self._client.task(task_id, wait_s=wait_s))

    def wait(
        self, task_id: str, *, until: Literal["answered", "final"] = "final", timeout_s: float | None = None
    ) -> Task:
        """See `AsyncClient.wait`."""
        return self._run(self._client.wait(task_id, until=until, timeout_s=timeout_s))

    def events(self, task_id: str) -> Iterator[Event]:
        """See `AsyncClient.events`."""
        return self._iterate(self._client.events(task_id))

    def result(self, task_id: str, format: str = "text") -> str:
        """See `AsyncClient.result`."""
        return self._run(self._client.result(task_id, format))

    def transcript(self, task_id: str) -> Transcript:
        """See `AsyncClient.transcript`."""
        return self._run(self._client.transcript(task_id))

    def analysis(self, task_id: str) -> Analysis:
        """See `AsyncClient.analysis`."""
        return self._run(self._client.analysis(task_id))

    def audio(self, task_id: str, format: str | None = None) -> bytes:
        """See `AsyncClient.audio`."""
        return self._run(self._client.audio(task_id, format))

    def tasks(self, *, limit: int | None = None, **filters: str | int) -> Iterator[Task]:
        """See `AsyncClient.tasks`."""
        return self._iterate(self._client.tasks(limit=limit, **filters))

    def cancel(self, task_id: str) -> Task:
        """See `AsyncClient.cancel`."""
        return self._run(self._client.cancel(task_id))

    def retry(self, task_id: str) -> Task:
        """See `AsyncClient.retry`."""
        return self._run(self._client.retry(task_id))

    def delete(self, task_id: str) -> None:
        """See `AsyncClient.delete`."""
        self._run(self._client.delete(task_id))

    def network(self) -> Mapping[str, Any]:
        """See `AsyncClient.network`."""
        return self._run(self._client.network())

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C while waiting: the request ends too.
            future.cancel()
            raise

    def _iterate[T](self, values: AsyncIterator[T]) -> Iterator[T]:
        async def following() -> T:
            return await anext(values)

        while True:
            try:
                yield self._run(following())
            except StopAsyncIteration:
                return
