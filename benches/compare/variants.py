"""What the variants that miners hear cost in words: the packaged clips as they are, and as a running proxy gives them.

    python benches/compare/variants.py --model tiny.en --miners 4 --proxy DIR/violet-proxy

Starts a proxy, submits every clip, claims it as several miners, transcribes what each of them gets, and compares words
with the manifest, and the times of the words, as a validator takes them back, with those of the recording itself.
"""

import argparse
import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import median

from bittensor_wallet import Wallet

import violet
from violet.corpus import Clip, packaged_clips
from violet.judge import word_starts
from violet.protocol import TRANSCRIPTION, sha256_hex, sign_response
from violet.proxy_client import ProxyClient
from violet.wallet import create_wallet


async def compare(url: str, wallets: Sequence[Wallet], asr: violet.Transcriber, folder: Path) -> None:
    """Every clip as it is, then as each miner hears it."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(ProxyClient(url, wallet.hotkey, allow_private=True)) for wallet in wallets
        ]
        print(f"{'clip':<18} {'heard by':<10} {'seconds':>8} {'word errors, %':>15} {'times off, s: median, most':>28}")
        texts: list[str] = []
        plain: list[str] = []
        variants: list[list[str]] = [[] for _ in clients]
        for clip in packaged_clips():
            recording = asr.transcribe(clip.path, word_timestamps=True)
            texts.append(clip.text)
            plain.append(recording.text)
            line(clip, "-", recording, "")
            await asyncio.to_thread(violet.Client(url).submit, clip.path, redundancy=len(clients))
            for heard_by, (client, wallet) in enumerate(zip(clients, wallets, strict=True)):
                path = folder / "heard"
                claimed = await client.claim(
                    clip.path.name, capacity=1, model="tiny.en", wait_s=10, kinds=(TRANSCRIPTION,)
                )
                (lease,) = claimed
                await client.download(lease.input, path, limit_bytes=1 << 30)
                heard = asr.transcribe(path, word_timestamps=True)
                result = heard.to_json()
                signature = sign_response(wallet.hotkey, lease.task_id, lease.slot, sha256_hex(result))
                await client.submit(lease, result, sha256_hex(result), signature)
                variants[heard_by].append(heard.text)
            (evaluation,) = await clients[0].lease(clip.path.name, wait_s=10)
            for response in evaluation.responses:
                heard = violet._core.Transcript.from_json(response.result)
                said, truth = word_starts(heard), word_starts(recording)
                off = ""
                if [word for word, _ in said] == [word for word, _ in truth]:
                    apart = [abs(response.original_s(a) - b) for (_, a), (_, b) in zip(said, truth, strict=True)]
                    off = f"{median(apart):.3f} {max(apart):.3f}"
                line(clip, f"miner {response.slot}", heard, off)
        for name, said_of in (("as they are", [plain]), ("variants", variants)):
            scores = [violet.score_words(texts, hypotheses, normalizer="whisper-en").wer for hypotheses in said_of]
            print(f"{name}: {', '.join(f'{100 * (score or 0):.2f} %' for score in scores)} words wrong")


def line(clip: Clip, heard_by: str, heard: violet._core.Transcript, off: str) -> None:
    """Prints one line."""
    wer = 100 * (violet.score_words([clip.text], [heard.text], normalizer="whisper-en").wer or 0)
    print(f"{clip.path.name:<18} {heard_by:<10} {heard.duration_s:8.3f} {wer:15.2f} {off:>28}", flush=True)


@contextmanager
def running(program: Path, folder: Path, wallets: Sequence[Wallet]) -> Iterator[str]:
    """A proxy that knows these wallets as miners and validators."""
    rest = {"stake": 1e6, "validator_permit": True, "ip": "0.0.0.0", "port": 0}
    rest |= dict.fromkeys(("incentive", "dividends", "emission", "consensus"), 0.0)
    keys = [wallet.hotkey.ss58_address for wallet in wallets]
    neurons = [{"uid": uid, "hotkey": key, "coldkey": f"cold{uid}", **rest} for uid, key in enumerate(keys)]
    head = {"netuid": 49, "network": "localnet", "block": 1, "synced_at_ms": time.time_ns() // 1_000_000, "tempo": 360}
    metagraph, ready = folder / "metagraph.json", folder / "ready"
    metagraph.write_text(json.dumps({**head, "neurons": neurons}))
    command = [program, "--metagraph", metagraph, "--port", "0", "--data-dir", folder / "data"]
    command += ["--ready-file", ready, "--lease-s", "600", "--log", "warn"]
    with subprocess.Popen([str(part) for part in command]) as process:
        while not ready.exists() and process.poll() is None:
            time.sleep(0.01)
        try:
            yield ready.read_text()
        finally:
            process.terminate()


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", type=Path, required=True, help="the violet-proxy program")
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--miners", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wallets = [create_wallet(f"miner{n}", "default", folder / "wallets") for n in range(args.miners)]
        with running(args.proxy, folder, wallets) as url:
            asyncio.run(compare(url, wallets, violet.Transcriber(args.model), folder))


if __name__ == "__main__":
    main()
