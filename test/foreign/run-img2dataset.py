"""Runs img2dataset over pictures that this script serves itself, and writes a JSON line that says what was asked for.

Words: the output folder, and what img2dataset shall be told beside it, as JSON: {"output_format": "webdataset", ...}. `rows` in that JSON says how many
pictures there are (default 12); `columns` are further columns for all rows, name to list of values. Beside the pictures there are always
four rows that come to nothing: a 404, a text that is no picture, an answer that takes too long, and a picture that must not be used (X-Robots-Tag).
The second picture is reached by a redirect. The line: {"served": {path: sha256}, "columns": [...]}
"""

import contextlib
import hashlib
import http.server
import io
import json
import os
import sys
import threading
import time

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOO_LONG = 3


def picture(number):
    """Noise of its own for every number, enlarged so that it survives what is done to pictures."""
    noise = np.random.default_rng(number).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    large = cv2.resize(noise, (120, 80), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".png" if number % 3 == 2 else ".jpg", large)[1].tobytes()


def serve(pictures):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/redirected":
                return self.answer(302, [("Location", "/picture-1")], b"")
            if self.path == "/slow":
                time.sleep(TOO_LONG)
                return self.close_connection
            if self.path == "/no-picture":
                return self.answer(200, [("Content-Type", "image/jpeg")], b"this is no picture")
            if self.path == "/opted-out":
                return self.answer(200, [("X-Robots-Tag", "noai")], pictures["/picture-0"])
            if self.path in pictures:
                return self.answer(200, [("Content-Type", "image/jpeg")], pictures[self.path])
            return self.answer(404, [], b"")

        def answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers + [("Content-Length", str(len(body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    folder, words = sys.argv[1], json.loads(sys.argv[2])
    count, columns = words.pop("rows", 12), words.pop("columns", {})
    pictures = {f"/picture-{number}": picture(number) for number in range(count)}
    server = serve(pictures)
    paths = list(pictures) + ["/gone", "/no-picture", "/slow", "/opted-out"]
    if count > 1:
        paths[1] = "/redirected"
    table = {
        "url": [f"http://127.0.0.1:{server.server_port}{path}" for path in paths],
        "alt": [f"caption {at}: \"ünïcode\", 'quotes'\nand lines" if at else None for at in range(len(paths))],
        **{name: values * len(paths) if len(values) == 1 else values for name, values in columns.items()},
    }
    os.makedirs(folder, exist_ok=True)
    rows = os.path.join(folder, "..", f"{os.path.basename(folder)}-rows.parquet")
    pq.write_table(pa.table(table), rows)

    from img2dataset import download

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        download(
            **{
                "url_list": rows,
                "output_folder": folder,
                "input_format": "parquet",
                "url_col": "url",
                "caption_col": "alt",
                "save_additional_columns": list(columns) or None,
                "processes_count": 1,
                "thread_count": 4,
                "timeout": 1,
                "enable_wandb": False,
                "image_size": 96,
                "number_sample_per_shard": 10,
                **words,
            }
        )
    served = {path: hashlib.sha256(content).hexdigest() for path, content in pictures.items()}
    print(json.dumps({"served": served, "columns": list(table)}))


if __name__ == "__main__":
    main()
