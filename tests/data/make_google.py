"""Makes google/: a service account's key that opens nothing, and URLs signed by Google's own signer.

Run in an environment with google-cloud-storage (written with 3.17.1): `python tests/data/make_google.py`. The key is kept if
it is there, so that the URLs stay the same.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.cloud.storage._signing import generate_signed_url_v4
from google.cloud.storage.blob import _quote
from google.oauth2 import service_account

DATA = Path(__file__).parent / "google"
KEY = DATA / "service_account.json"
OBJECT = "blobs/" + "0123456789abcdef" * 4

CASES = [
    ("https://storage.googleapis.com", "GET", "violet-test", OBJECT, 600, None, 1_795_990_574_035),
    ("https://storage.googleapis.com", "PUT", "violet-test", OBJECT, 600, "audio/flac", 1_795_990_574_035),
    ("https://storage.googleapis.com", "HEAD", "violet-test", OBJECT, 1, None, 0),
    ("https://storage.googleapis.com", "GET", "b.with.dots", "a name/with ~ signs + ä?&=#%.wav", 604_800, None, 951_782_400_000),
    ("http://127.0.0.1:4443", "GET", "violet-test", OBJECT, 3_600, None, 4_107_542_400_000),
    ("http://127.0.0.1:4443", "PUT", "violet-test", OBJECT, 60, "audio/x-caf; a=b", 4_107_542_400_000),
]


def main() -> None:
    """Write both files."""
    DATA.mkdir(exist_ok=True)
    if not KEY.exists():
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        info = {
            "type": "service_account",
            "project_id": "violet-test",
            "private_key_id": "made-for-tests",
            "private_key": pem,
            "client_email": "proxy@violet-test.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        KEY.write_text(json.dumps(info, indent=1) + "\n")
    credentials = service_account.Credentials.from_service_account_file(str(KEY))
    golden = []
    for endpoint, method, bucket, name, life_s, content_type, now_ms in CASES:
        url = generate_signed_url_v4(
            credentials,
            resource=f"/{bucket}/{_quote(name, safe=b'/~')}",
            expiration=life_s,
            api_access_endpoint=endpoint,
            method=method,
            content_type=content_type,
            _request_timestamp=datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ"),
        )
        case = {"endpoint": endpoint, "method": method, "bucket": bucket, "object": name}
        golden.append(case | {"life_s": life_s, "content_type": content_type, "now_ms": now_ms, "url": url})
    (DATA / "signed_urls.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
