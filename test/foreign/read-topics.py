"""Reads Kafka topics from beginning to end with librdkafka, committed records only, and writes a JSON line for each record.

Every partition is read to the high watermark it had at the start. A partition that does not get there (a transaction still
open) ends the run with exit code 1 and one sentence, when nothing has come for a while.

Lines, by "line": "record", one for each record; "partition", where reading it ended; "committed", what --group has committed.
Bytes are base64, longer ones {"sha256", "length"}. Values are decoded with the schema that they name; null where they can't be.
"""

import argparse
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from plain import bytes_as_json, cluster, committed, digest, fail, high_watermark, topics_of
from schemas import Schemas


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True, help="URL of the Confluent-compatible API")
    parser.add_argument("--group", help="also tell what this consumer group has committed on the topics")
    parser.add_argument("--seconds", type=float, default=60, help="longest time without anything new")
    parser.add_argument("topics", nargs="+")
    return parser.parse_args()


def consumer(brokers, group, isolation):
    return Consumer(
        {
            **cluster(brokers),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 50,
            "check.crcs": True,
        }
    )


def partitions_of(client, topics):
    found = topics_of(client)
    for topic in topics:
        if topic not in found or found[topic].error is not None:
            fail(f"there is no topic {topic}")
    return [(topic, partition) for topic in topics for partition in found[topic].partitions]


def high_watermarks(brokers, places):
    client = consumer(brokers, "foreign-reader", "read_uncommitted")
    marks = {place: high_watermark(client, *place) for place in places}
    client.close()
    return marks


def read(arguments, out):
    client = consumer(arguments.brokers, "foreign-reader", "read_committed")
    places = partitions_of(client, arguments.topics)
    ends = high_watermarks(arguments.brokers, places)
    schemas = Schemas(arguments.registry)
    client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in places])
    positions = {}
    deadline = time.monotonic() + arguments.seconds
    while any(positions.get(place, -1) < ends[place] for place in places):
        if time.monotonic() > deadline:
            behind = [f"{t}/{p} at {positions.get((t, p))} of {ends[t, p]}" for t, p in places if positions.get((t, p), -1) < ends[t, p]]
            fail("not read to the end, and nothing more comes: " + ", ".join(behind))
        messages = client.consume(1000, timeout=0.5)
        if messages:
            deadline = time.monotonic() + arguments.seconds
        for message in messages:
            place = (message.topic(), message.partition())
            if message.error() is None:
                positions[place] = message.offset() + 1
                out(record_line(message, schemas))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                # Beyond control records and aborted ones, which are never handed out.
                positions[place] = message.offset()
            elif message.error().fatal():
                fail(str(message.error()))
    for topic, partition in places:
        out({"line": "partition", "topic": topic, "partition": partition, "end": positions[topic, partition]})
    client.close()
    if arguments.group is not None:
        client = consumer(arguments.brokers, arguments.group, "read_committed")
        for place in committed(client, places):
            offset = place.offset if place.offset >= 0 else None
            out({"line": "committed", "topic": place.topic, "partition": place.partition, "offset": offset})
        client.close()


def record_line(message, schemas):
    value = message.value()
    return {
        "line": "record",
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": bytes_as_json(message.key()),
        "headers": [[name, bytes_as_json(content)] for name, content in message.headers() or []],
        "valueSha256": digest(value),
        "value": schemas.decode(value),
    }


def main():
    arguments = parse_arguments()

    def out(line):
        json.dump(line, sys.stdout, default=bytes_as_json)
        sys.stdout.write("\n")

    read(arguments, out)


main()
