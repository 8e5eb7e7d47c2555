"""What pyarrow finds in a Parquet file, for scripts that tell it as JSON lines."""

import base64
import datetime
import json
import math

import pyarrow.parquet as pq


def print_rows(path, **more):
    """A line for each row: {"row": {column: JSON text}, ...more}."""
    for row in pq.read_table(path).to_pylist():
        print(json.dumps({"row": {name: as_json_text(value) for name, value in row.items()}, **more}))


def as_json_text(value):
    """NaN is text, times are ISO 8601 in UTC, bytes are {"base64": ...}."""
    if isinstance(value, float) and math.isnan(value):
        return '"NaN"'
    if isinstance(value, datetime.datetime):
        utc = value if value.tzinfo is None else value.astimezone(datetime.timezone.utc)
        digits = "milliseconds" if utc.microsecond % 1000 == 0 else "microseconds"
        return json.dumps(utc.replace(tzinfo=None).isoformat(timespec=digits) + "Z")
    if isinstance(value, bytes):
        value = {"base64": base64.b64encode(value).decode()}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
