"""The miner's side of direct calls: `POST /v1/direct/..`, signed as `btauth/1`. It needs no SDK."""

import time

from pydantic import BaseModel, Field, ValidationError

from violet.errors import BusyError
from violet.transport.asgi import Receive, Scope, Send, answer, refuse
from violet.transport.bodies import PREFIX
from violet.transport.btauth import Claims, Replays, UnsignedError
from violet.transport.service import MAX_QUEUE_S, MinerService


class _Wait(BaseModel):
    """What a direct call says besides its message, as the SDK's header does."""

    timeout_s: float = Field(default=MAX_QUEUE_S, gt=0)
    """How long the caller waits."""


class DirectDoor:
    """Serves the calls of validators (ASGI): the signature is checked before anything is done or remembered.

    Args:
        service: What is done.
        started_ns: Nothing that was signed before is taken, nanoseconds since the epoch.
    """

    def __init__(self, service: MinerService, started_ns: int) -> None:
        self._service = service
        self._started_ns = started_ns
        self._replays = Replays()
        self._routes = {PREFIX + body.route: body for body in service.served}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope["raw_path"].decode("latin-1")
        kind = self._routes.get(path)
        if kind is None:
            await refuse(send, 404, f"no such path; direct calls are POST {PREFIX}..")
            return
        if scope["method"] != "POST":
            await refuse(send, 405, "direct calls are POST")
            return
        # All of it: `BodyLimit` has read it.
        raw = (await receive()).get("body", b"")
        query = scope["query_string"].decode("latin-1")
        now_ns = time.time_ns()
        try:
            claims = Claims.from_headers(scope["headers"])
            claims.check(self._service.hotkey.ss58_address, now_ns, self._started_ns)
            if (reason := self._service.refusal(claims.hotkey)) is not None:
                await refuse(send, 403, reason)
                return
            text = claims.verify(scope["method"], f"{path}?{query}" if query else path, raw)
            self._replays.accept(claims.hotkey, text, now_ns)
            body, wait = kind.model_validate_json(raw), _Wait.model_validate_json(raw)
        except UnsignedError as error:
            await refuse(send, 401, f"{error.code}: {error}")
        except BusyError as error:
            await refuse(send, 429, str(error))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            await refuse(send, 422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        else:
            reply = await self._service.reply(claims.hotkey, body, wait.timeout_s)
            await answer(send, 200, reply.model_dump_json().encode())
