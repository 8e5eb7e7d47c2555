"""Reads every object of a store folder and writes a JSON line for each: its name, the sha256 and length of its bytes, and,
where it is an Avro container with one record, that record as fastavro reads it with the schema inside the container.
In it, `key` and `value` are null or {"sha256", "bytes"}; bytes are base64, longer ones {"sha256", "length"}.
"""

import argparse
import io
import json
import pathlib
import sys

import fastavro

from plain import bytes_as_json, digest


def record_in(content):
    if content[:4] != b"Obj\x01":
        return None
    records = list(fastavro.reader(io.BytesIO(content)))
    return records[0] if len(records) == 1 else None


def described(content):
    return None if content is None else {"sha256": digest(content), "bytes": content}


def main():
    parser = argparse.ArgumentParser(description="Reads every object of a store folder.")
    parser.add_argument("folder", type=pathlib.Path)
    # Markers and drafts are no objects.
    for path in sorted(path for path in parser.parse_args().folder.rglob("[!.]*") if path.is_file()):
        content = path.read_bytes()
        record = record_in(content)
        if record is not None:
            record = {**record, "key": described(record["key"]), "value": described(record["value"])}
        line = {"name": path.name, "sha256": digest(content), "length": len(content), "record": record}
        json.dump(line, sys.stdout, default=bytes_as_json)
        sys.stdout.write("\n")


main()
