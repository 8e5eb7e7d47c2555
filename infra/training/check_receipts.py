"""Checks what an export holds by the public keys alone, and by nobody's code but this: each receipt, and that it is for the item that it stands on.

    python check_receipts.py datasets/boats --keyring keyring.json

Needs cryptography. What does not hold is named on stderr, and the exit code is 1. `sluice train verify` checks more: that shards, manifests and
descriptions say the same, and that nothing is there twice or was recalled.
"""

import argparse
import base64
import hashlib
import json
import sys
import tarfile
from itertools import groupby
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_der_public_key

RECEIPT_TYPE = "application/vnd.sluice.receipt.v1+json"
LONGEST_TEXT = 1_048_576


class Wrong(Exception):
    """What does not hold of an item."""


def canonical_json(value):
    """RFC 8785, for what receipts and training views are made of: names in ASCII, texts, whole numbers, null."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pre_authentication(payload_type, body):
    """What is signed, by the DSSE specification."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def opened(text, keyring, payload_type=RECEIPT_TYPE):
    """The body of a DSSE envelope that a key of the keyring has signed, and the name of the key."""
    envelope = json.loads(text)
    if envelope["payloadType"] != payload_type or len(envelope["signatures"]) != 1:
        raise Wrong("no such envelope")
    body = base64.b64decode(envelope["payload"], validate=True)
    (signature,) = envelope["signatures"]
    known = next((key for key in keyring["keys"] if key["id"] == signature["keyid"]), None)
    if known is None:
        raise Wrong("its key is unknown")
    public = base64.b64decode(known["publicKey"])
    if hashlib.sha256(public).hexdigest()[:16] != known["id"]:
        raise Wrong("the keyring calls a key by a name that is not its own")
    try:
        load_der_public_key(public).verify(
            base64.b64decode(signature["sig"], validate=True), pre_authentication(payload_type, body)
        )
    except InvalidSignature:
        raise Wrong("its signature is not of its key") from None
    return body, known


def check(key, members, keyring):
    """One item: what it is called in its shard, and the bytes of its three members by extension. Raises Wrong."""
    item = json.loads(members["json"])
    body, known = opened(members["receipt.json"], keyring)
    receipt = json.loads(body)
    if receipt["version"] != 1 or receipt["verdict"] != "clean" or receipt["keyId"] != known["id"]:
        raise Wrong("it is no receipt of something that was cleared")
    if canonical_json(receipt) != body:
        raise Wrong("its receipt is not written in the one way")
    at, until = receipt["signedAt"], known["until"]
    if known["revoked"] is not None or at < known["from"] or (until is not None and at >= until):
        raise Wrong("its key did not count")
    (payload,) = (content for name, content in members.items() if name not in ("json", "receipt.json"))
    signed = receipt["payload"]
    for algorithm in ("md5", "sha1", "sha256"):
        if hashlib.new(algorithm, payload).hexdigest() != signed[algorithm]:
            raise Wrong(f"its bytes have another {algorithm}")
    told = {"sha256": item["sha256"], "size": item["size"], "mediaType": item["mediaType"]}
    if len(payload) != signed["size"] or told != {name: signed[name] for name in told}:
        raise Wrong("its payload is not what was signed")
    if item["id"] != receipt["id"] or item["input"] != receipt["input"]:
        raise Wrong("its receipt is another item's")
    if hashlib.sha256(canonical_json(item["training"])).hexdigest() != receipt["training"]["sha256"]:
        raise Wrong("its training view is not what was signed")
    place = "/".join(str(receipt["input"][name]) for name in ("cluster", "topic", "partition", "offset"))
    if hashlib.sha256(place.encode()).hexdigest()[:32] != key:
        raise Wrong("its key in the shard is not its own")


def items_of(shard):
    """The members of each item of a shard, in its order."""
    with tarfile.open(shard, "r:") as tar:
        for key, infos in groupby(tar, lambda info: info.name.partition(".")[0]):
            members = {}
            for info in infos:
                _, _, extension = info.name.partition(".")
                if not info.isfile() or extension in members or (extension.endswith("json") and info.size > LONGEST_TEXT):
                    raise Wrong(f"{info.name} is no member of an export")
                members[extension] = tar.extractfile(info).read()
            yield key, members


def check_all(folder, keyring):
    """How many items hold, and what does not: (shard, key, why)."""
    holding, problems = 0, []
    for shard in sorted(Path(folder, "shards").glob("*.tar")):
        try:
            for key, members in items_of(shard):
                try:
                    check(key, members, keyring)
                    holding += 1
                except (Wrong, ValueError, KeyError, TypeError) as error:
                    problems.append((shard.name, key, str(error)))
        except (Wrong, tarfile.TarError, OSError) as error:
            problems.append((shard.name, None, str(error)))
    return holding, problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="that `sluice train export` has written")
    parser.add_argument("--keyring", required=True, help="the public keys that you trust, from the one who runs the gate")
    arguments = parser.parse_args()
    holding, problems = check_all(arguments.folder, json.loads(Path(arguments.keyring).read_text()))
    for shard, key, why in problems:
        print(json.dumps({"shard": shard, "key": key, "why": why}), file=sys.stderr)
    print(json.dumps({"holding": holding, "problems": len(problems)}))
    sys.exit(1 if problems else 0)
