"""Runs img2dataset over pictures that this script serves itself, and says what pyarrow finds in the Parquet that it wrote.

Words: the output folder, and what img2dataset shall be told beside what is told here, as JSON: {"output_format": "webdataset", ...}. In that JSON `rows`
says how many pictures there are (default 12), and `columns` are further columns of the user, name to the value of all rows or to a list of values. Behind
the pictures four rows come to nothing: a 404, a text that is no picture, an answer that takes too long, and a picture that must not be used (X-Robots-Tag).
The second picture is reached by a redirect. A JSON line for each row that img2dataset wrote: {"row": {column: JSON text}, "shard": "00000"}
"""

import contextlib
import glob
import http.server
import json
import os
import sys
import threading
import time

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from parquet_rows import print_rows

TOO_LONG = 3
# No look for newer versions of a library, here or in the processes that are started.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"


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


@contextlib.contextmanager
def to_stderr():
    """What is said in here, by the processes that it starts too."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)


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
        **{name: value if isinstance(value, list) else [value] * len(paths) for name, value in columns.items()},
    }
    os.makedirs(folder, exist_ok=True)
    rows = os.path.join(folder, "..", f"{os.path.basename(folder)}-rows.parquet")
    pq.write_table(pa.table(table), rows)

    from img2dataset import download

    with to_stderr():
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
                "retries": 5,
                "enable_wandb": False,
                "image_size": 96,
                "number_sample_per_shard": 10,
                **words,
            }
        )
    for path in sorted(glob.glob(os.path.join(folder, "*.parquet"))):
        print_rows(path, shard=os.path.basename(path).removesuffix(".parquet"))


if __name__ == "__main__":
    main()
