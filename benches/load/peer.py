"""The peer of `run.py`: the same endpoints with FastAPI, uvicorn and SQLite, as their documentation would have it.

As durable as the proxy: `synchronous=FULL`, files are synced before they are named. What the proxy checks beyond that
(headers of audio, quality, limits, leases that end, fencing) is left out, to the peer's advantage.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from bittensor_wallet import Keypair
from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import StreamingResponse

SCHEMA = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, state TEXT NOT NULL, priority INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL, miner TEXT, task TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS queue ON tasks (state, priority DESC, created_at_ms);
CREATE TABLE IF NOT EXISTS responses (id TEXT PRIMARY KEY, task_id TEXT NOT NULL, result TEXT NOT NULL);
"""


def application(data: Path) -> FastAPI:
    """The service over a data directory."""
    app = FastAPI()
    sql = sqlite3.connect(data / "peer.sqlite3", isolation_level=None)
    sql.executescript(SCHEMA)
    nonces: set[str] = set()

    def insert(kind: str, sha256: str, n_bytes: int) -> dict[str, Any]:
        now_ms = time.time_ns() // 1_000_000
        task = {
            "id": f"task_{uuid.uuid4().hex}",
            "kind": kind,
            "state": "queued",
            "created_at_ms": now_ms,
            "priority": 5,
            "input": {"sha256": sha256, "bytes": n_bytes, "duration_s": 1.0},
        }
        sql.execute("INSERT INTO tasks VALUES (?, 'queued', 5, ?, NULL, ?)", (task["id"], now_ms, json.dumps(task)))
        return task

    def keep(parts: list[bytes]) -> str:
        sha256 = hashlib.sha256(b"".join(parts)).hexdigest()
        part = data / f"{uuid.uuid4().hex}.part"
        with part.open("wb") as file:
            for piece in parts:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.rename(data / sha256)
        return sha256

    async def signed(request: Request) -> tuple[str, dict[str, Any]]:
        body, headers = await request.body(), request.headers
        nonce, hotkey = headers["x-bittensor-nonce"], headers["x-bittensor-hotkey"]
        lines = ("btauth/1", "sr25519", request.method, request.url.path, hashlib.sha256(body).hexdigest())
        text = "\n".join((*lines, nonce, hotkey, headers["x-bittensor-receiver"]))
        if not Keypair(ss58_address=hotkey).verify(text.encode(), headers["x-bittensor-signature"]):
            raise HTTPException(401, "bad signature")
        if f"{hotkey}{nonce}" in nonces:
            raise HTTPException(401, "replayed")
        nonces.add(f"{hotkey}{nonce}")
        return hotkey, json.loads(body)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/network")
    async def network() -> dict[str, Any]:
        return {"proxy": {"hotkey": "peer"}}

    @app.post("/v1/uploads", status_code=201)
    async def upload(request: Request) -> dict[str, Any]:
        digest, n_bytes, part = hashlib.sha256(), 0, data / f"{uuid.uuid4().hex}.part"
        with part.open("wb") as file:
            async for piece in request.stream():
                digest.update(piece)
                n_bytes += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.rename(data / digest.hexdigest())
        return {"id": f"upload_{uuid.uuid4().hex}", "sha256": digest.hexdigest(), "bytes": n_bytes}

    @app.post("/v1/tasks", status_code=201)
    async def create(request: Request) -> dict[str, Any]:
        text = (await request.json())["input"]["text"].encode()
        return insert("synthesis", keep([text]), len(text))

    @app.post("/v1/tasks/multipart", status_code=201)
    async def create_of_file(file: UploadFile = File(), kind: str = Form("transcription")) -> dict[str, Any]:  # noqa: B008
        digest, n_bytes, part = hashlib.sha256(), 0, data / f"{uuid.uuid4().hex}.part"
        with part.open("wb") as kept:
            while piece := await file.read(1 << 20):
                digest.update(piece)
                n_bytes += kept.write(piece)
            kept.flush()
            os.fsync(kept.fileno())
        part.rename(data / digest.hexdigest())
        return insert(kind, digest.hexdigest(), n_bytes)

    @app.get("/v1/tasks/{task_id}")
    async def show(task_id: str) -> dict[str, Any]:
        row = sql.execute("SELECT task FROM tasks WHERE id = ?", (task_id,)).fetchone()
        if row is None:
            raise HTTPException(404, "no such task")
        task: dict[str, Any] = json.loads(row[0])
        return task

    @app.get("/v1/tasks/{task_id}/events")
    async def events(task_id: str) -> StreamingResponse:
        async def feed() -> AsyncIterator[str]:
            yield f"event: state\nid: 1\ndata: {json.dumps(await show(task_id))}\n\n"
            while True:
                await asyncio.sleep(15)
                yield ":\n\n"

        return StreamingResponse(feed(), media_type="text/event-stream")

    @app.post("/v1/miner/claim")
    async def claim(request: Request) -> dict[str, Any]:
        miner, _ = await signed(request)
        row = sql.execute(
            "UPDATE tasks SET state = 'running', miner = ? WHERE id = (SELECT id FROM tasks WHERE state = 'queued' "
            "ORDER BY priority DESC, created_at_ms LIMIT 1) RETURNING task",
            (miner,),
        ).fetchone()
        if row is None:
            return {"leases": []}
        task = json.loads(row[0])
        return {"leases": [{"task_id": task["id"], "slot": 0, "token": 1, "input": task["input"]}]}

    @app.post("/v1/miner/submit")
    async def submit(request: Request) -> dict[str, Any]:
        miner, body = await signed(request)
        digest = hashlib.sha256(body["result"].encode()).hexdigest()
        text = f"violet/response/1\n{body['task_id']}\n{body['slot']}\n{digest}"
        if not Keypair(ss58_address=miner).verify(text.encode(), body["signature"]):
            raise HTTPException(401, "bad signature")
        response_id = f"resp_{uuid.uuid4().hex}"
        sql.execute("BEGIN IMMEDIATE")
        sql.execute("UPDATE tasks SET state = 'answered' WHERE id = ? AND miner = ?", (body["task_id"], miner))
        sql.execute("INSERT INTO responses VALUES (?, ?, ?)", (response_id, body["task_id"], body["result"]))
        sql.execute("COMMIT")
        return {"response_id": response_id, "state": "submitted"}

    return app


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    uvicorn.run(application(args.data), port=args.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
