"""Crawls pages and pictures that this script serves itself, with requests, and has warcio write what passes: as people do who keep WARCs.

Words: the WARC to write, and folders are not made. Then warcio reads it again: a JSON line for each response record with a picture,
{"record": {header: value}, "http": [[name, value], ...], "status": 200, "request": [[name, value], ...], "method": "GET", "info": {field: value}}
"""

import http.server
import json
import struct
import sys
import threading
import zlib

from warcio.archiveiterator import ArchiveIterator
from warcio.capture_http import capture_http

# Only now, or its connections are not captured.
import requests


def picture(number):
    """A PNG of its own for every number: 16 x 16, grey."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes((number * 37 + x * y) % 256 for x in range(16)) for y in range(16))
    head = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURES = 6
PAGE = """<!doctype html><title>A page of boats</title><meta name="robots" content="noai">
<link rel="license" href="https://example.org/licence">""" + "".join(
    f'<img src="/picture-{n}.png" alt="Boat number {n}">' for n in range(PICTURES)
)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/page":
            self.answer(200, [("Content-Type", "text/html; charset=utf-8")], PAGE.encode())
        elif self.path == "/moved":
            self.answer(302, [("Location", "/picture-1.png")], b"")
        elif self.path.startswith("/picture-"):
            number = int(self.path[len("/picture-") : -len(".png")])
            signals = [("X-Robots-Tag", "noimageai"), ("tdm-reservation", "1")] if number == 2 else []
            self.answer(200, [("Content-Type", "image/png"), ("ETag", f'"{number}"'), *signals], picture(number))
        else:
            self.answer(404, [], b"nothing here")

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def crawl(path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    with capture_http(path, warc_version="1.1") as writer:
        info = writer.create_warcinfo_record("crawl.warc.gz", {"software": "example-crawler/1.0", "isPartOf": "run-7"})
        writer.write_record(info)
        for place in ["/page", "/moved", *(f"/picture-{n}.png" for n in range(PICTURES)), "/gone"]:
            requests.get(site + place, headers={"Referer": f"{site}/page"}, timeout=10)
    server.shutdown()


def tell(path):
    requests_of, captures, info = {}, [], {}
    with open(path, "rb") as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type == "warcinfo":
                text = record.content_stream().read().decode()
                info = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
            elif record.rec_type == "request":
                requests_of[record.rec_headers["WARC-Concurrent-To"]] = record.http_headers
            elif record.rec_type == "response":
                captures.append((dict(record.rec_headers.headers), record.http_headers))
    for headers, answer in captures:
        if answer.get_header("Content-Type") != "image/png":
            continue
        request = requests_of[headers["WARC-Record-ID"]]
        line = {
            "record": headers,
            "http": answer.headers,
            "status": int(answer.get_statuscode()),
            "request": request.headers,
            "method": request.protocol,
            "info": info,
        }
        print(json.dumps(line))


crawl(sys.argv[1])
tell(sys.argv[1])
