"""Writes a Parquet manifest by pyarrow, with columns of many types, into the file that the first word names; the other words are the paths of
files, a row each. Then a JSON line a row: {"row": {column: JSON text}}.
"""

import datetime
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from parquet_rows import print_rows

NOON = datetime.datetime(2026, 1, 31, 12, 0, 0, 250_000)
UTC = datetime.timezone.utc


def main():
    path, files = sys.argv[1], sys.argv[2:]
    rows = range(len(files))
    columns = {
        "file": pa.array(files),
        "page": pa.array([f"https://example.org/page/{at}?q=ü" for at in rows]),
        "account": pa.array([9_007_199_254_740_993 + at for at in rows], pa.int64()),
        "uploaded": pa.array([NOON for _ in rows], pa.timestamp("us")),
        "acquisition.fetchedAt": pa.array([NOON.replace(tzinfo=UTC) for _ in rows], pa.timestamp("ms", tz="Europe/Berlin")),
        "acquisition.status": pa.array([200 for _ in rows], pa.int16()),
        "acquisition.redirects": pa.array([["https://example.org/1", "https://example.org/2"] for _ in rows]),
        "rights.licence": pa.array([None if at else "CC-BY-4.0" for at in rows], pa.string()),
        "fine": pa.array([NOON.replace(microsecond=123_456) for _ in rows], pa.timestamp("us", tz="UTC")),
        "score": pa.array([0.25 if at else float("nan") for at in rows], pa.float32()),
        "seen": pa.array([at % 2 == 0 for at in rows]),
        "raw": pa.array([bytes([0xFF, at]) for at in rows], pa.binary()),
        "tags": pa.array([["a", None, "b"] for _ in rows]),
        "box": pa.array([{"x": at, "label": 'two "words"'} for at in rows]),
        "nothing": pa.nulls(len(files), pa.string()),
    }
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=2)
    print_rows(path)


main()
