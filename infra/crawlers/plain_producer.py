"""Fetches pictures and publishes them: confluent-kafka and an HTTP client, nothing else.

    python plain_producer.py --brokers localhost:9092 --registry http://localhost:8081 --stores /srv/sluice/stores \\
        --page https://example.org/boats https://example.org/boats.jpg
"""

import argparse
import sys
import time
import uuid
from urllib.parse import urlsplit

import requests

from door import Door, item_id

KEPT_HEADERS = {"content-type", "content-length", "date", "etag", "last-modified", "server", "tdm-reservation", "x-robots-tag"}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--stores", help="the folder that the gate's stores are in")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--credentials", help="file with one line, user:password, for brokers that ask who comes")
    parser.add_argument("--json", action="store_true", help="publish JSON instead of Avro")
    parser.add_argument("--page", required=True, help="the page that shows the pictures")
    parser.add_argument("pictures", nargs="+")
    return parser.parse_args()


def fetch(session, url):
    """What answered for a picture, from which address, the bytes, and why they are not all; None where there is no picture."""
    with session.get(url, stream=True, timeout=30) as response:
        if response.status_code != 200:
            return None
        # Before the bytes: with the last one the connection is given back.
        connection = response.raw.connection
        address = connection.sock.getpeername()[0] if connection and connection.sock else None
        return response, address, *read(response)


def read(response):
    """The bytes that came, and why no more did: "disconnect" or "time", as WARC says it; None where it is all."""
    # Else what came before the end of the connection would be thrown away.
    response.raw.enforce_content_length = False
    parts = []
    truncated = None
    try:
        for part in response.iter_content(1024):
            parts.append(part)
    except requests.exceptions.ChunkedEncodingError:
        truncated = "disconnect"
    except requests.exceptions.ConnectionError:
        truncated = "time"
    if truncated is None and response.raw.length_remaining:
        truncated = "disconnect"
    return b"".join(parts), truncated


def envelope(url, page, run, response, address, truncated):
    now = int(time.time() * 1000)
    headers = [(name.lower(), value) for name, value in response.raw.headers.items()]
    passed = [step.url for step in response.history]
    return {
        "item": {"id": item_id("plain", url), "mediaTypeClaimed": response.headers.get("content-type"), "collectedAt": now},
        "acquisition": {
            "crawler": f"plain-producer (requests/{requests.__version__})",
            "run": run,
            "requestedUrl": url,
            "redirects": passed[1:],
            "finalUrl": response.url,
            "status": response.status_code,
            "responseHeaders": [{"name": name, "value": value} for name, value in headers if name in KEPT_HEADERS],
            "remoteAddress": address,
            "fetchedAt": now,
            "truncated": truncated,
        },
        "origin": {"pageUrl": page, "platform": urlsplit(page).hostname},
        "supply": {"kind": "web-crawl", "supplier": "crawler.example.org"},
        "rights": {
            "robots": "; ".join(value for name, value in headers if name == "x-robots-tag") or None,
            "tdmOptOut": response.headers.get("tdm-reservation"),
        },
        "liveness": {"lastSeenAt": now, "status": "online"},
    }


def main():
    arguments = parse_arguments()
    run = str(uuid.uuid4())
    session = requests.Session()
    with Door(
        arguments.brokers,
        arguments.registry,
        arguments.stores,
        arguments.prefix,
        "/example/plain",
        arguments.json,
        arguments.credentials,
    ) as door:
        for url in arguments.pictures:
            fetched = fetch(session, url)
            if fetched is None:
                print("left out: a picture that is not there", file=sys.stderr)
                continue
            response, address, payload, truncated = fetched
            door.publish(envelope(url, arguments.page, run, response, address, truncated), payload)


if __name__ == "__main__":
    main()
