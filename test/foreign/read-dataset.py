"""Reads what describes an export: its manifests with pyarrow, its Croissant metadata with mlcroissant, and an attestation with cryptography.

Lines: one for each row of the manifests, as {"row": ...}; then one with what the others have found.
"""

import json
import logging
import os
import sys
import tempfile
from pathlib import Path

# What it unpacks it finds again by name alone, in whichever dataset.
cache = tempfile.TemporaryDirectory()
os.environ["CROISSANT_CACHE"] = cache.name

import mlcroissant  # noqa: E402
import pyarrow.parquet  # noqa: E402

sys.path.append(str(Path(__file__).parents[2] / "infra/training"))
from check_receipts import opened  # noqa: E402

folder, keyring, attestation = (Path(word) for word in sys.argv[1:4])

logging.getLogger("absl").setLevel(logging.ERROR)
for manifest in sorted(Path(folder, "manifest").glob("*.parquet")):
    for row in pyarrow.parquet.read_table(manifest).to_pylist():
        print(json.dumps({"row": row}))

croissant = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
items = list(croissant.records("items"))
pictures = list(croissant.records("pictures"))
statement, _ = opened(attestation.read_text(), json.loads(keyring.read_text()), "application/vnd.in-toto+json")
found = {
    "errors": sorted(croissant.metadata.ctx.issues.errors),
    "items": sorted(item["items/sha256"].decode() for item in items),
    "pictures": sorted(picture["pictures/key"].decode() for picture in pictures),
    "sizes": sorted(list(picture["pictures/content"].size) for picture in pictures),
    "statement": json.loads(statement),
}
print(json.dumps(found))
