"""What the scripts here share: where brokers are and as whom to come, bytes as JSON, and how a script fails."""

import base64
import hashlib
import os
import sys
import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition

LONGEST = 1024
# A cluster that has just come back knows of all its partitions a moment later, and hands leaderships back to who was down.
NOT_YET = {
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
}


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


def answered(ask, seconds=60):
    """What a question to the cluster brings; asked again for so long while the answer is that it can't tell yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except KafkaException as exception:
            if time.monotonic() > deadline or exception.args[0].code() not in NOT_YET:
                raise
            time.sleep(0.2)


def high_watermark(client, topic, partition):
    """Of a client with read_uncommitted: a committed reader is told the last stable offset instead."""
    return answered(lambda: client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10))[1]


def committed(client, places):
    """Of the client's group: each place with the offset, below 0 where there is none."""

    def ask():
        found = client.committed([TopicPartition(*place) for place in places], timeout=10)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        return found

    return answered(ask)


def topics_of(client):
    """All topics that the cluster tells of, by name."""
    return answered(lambda: client.list_topics(timeout=10).topics)


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
