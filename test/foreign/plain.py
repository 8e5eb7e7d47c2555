"""What the scripts here share: where brokers are and as whom to come, bytes as JSON, and how a script fails."""

import base64
import hashlib
import os
import sys
import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition

LONGEST = 1024
# A cluster that has just come back knows of all its partitions a moment later.
NOT_YET = {KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError._TRANSPORT, KafkaError._TIMED_OUT}


def cluster(brokers):
    """Settings of a client; KAFKA_USER and KAFKA_PASSWORD are there where the brokers ask."""
    user = os.environ.get("KAFKA_USER")
    if user is None:
        return {"bootstrap.servers": brokers}
    return {
        "bootstrap.servers": brokers,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": os.environ["KAFKA_PASSWORD"],
    }


def high_watermark(client, topic, partition, seconds=30):
    """Of a client with read_uncommitted: a committed reader is told the last stable offset instead."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
        except KafkaException as exception:
            error = exception.args[0]
            if time.monotonic() > deadline or not (error.retriable() or error.code() in NOT_YET):
                raise
            time.sleep(0.2)


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
