"""What the scripts here share: bytes as JSON, and how a script fails."""

import base64
import hashlib
import sys

LONGEST = 1024


def digest(content):
    return None if content is None else hashlib.sha256(content).hexdigest()


def bytes_as_json(content):
    """base64; where that would be long, the digest and the length; null stays null."""
    if content is None:
        return None
    if not isinstance(content, bytes):
        raise TypeError(f"no JSON for {type(content)}")
    if len(content) > LONGEST:
        return {"sha256": digest(content), "length": len(content)}
    return base64.b64encode(content).decode()


def fail(sentence):
    sys.stdout.flush()
    print(sentence, file=sys.stderr)
    sys.exit(1)
