"""A user's side of the proxy: submit audio or text, watch, fetch results.

>>> import violet
>>> with violet.Client("http://127.0.0.1:8080") as client:       # doctest: +SKIP
...     task = client.submit("talk.mp3", language="en")
...     for event in client.events(task.id):
...         print(event.task.state, f"{event.task.progress:.0%}", event.task.partial)
...     print(client.result(task.id, "srt"))

`AsyncClient` is the same with `await`. Every request is tried a few times, also after the proxy said that it is busy;
a task is submitted with an idempotency key, so that a repeated request never makes a second one. What still fails
raises `violet.errors.ProxyUnreachableError` (no answer) or `violet.errors.ProxyError` (a refusal, with its status and
code).
"""

from violet.client.asynchronous import AsyncClient
from violet.client.blocking import Client
from violet.client.task import Event, Task, TaskFailedError

__all__ = ["AsyncClient", "Client", "Event", "Task", "TaskFailedError"]
