"""Produces records with librdkafka as they come on stdin, a JSON line each:
{"topic", "partition", "key", "value", "headers": [[name, value]]}; keys and values are base64 or null. Headers keep their order
and repetitions, which not every client can write. A value may also be {"zeros": n}, that many zero bytes. The second word names a
compression: what has one partition then goes out as one batch, as far as sizes allow. Writes a JSON line with the offset for each record, in the order of the input.
"""

import base64
import json
import sys

from confluent_kafka import Producer

from plain import cluster, fail


def content(text):
    if isinstance(text, dict):
        return bytes(text["zeros"])
    return None if text is None else base64.b64decode(text)


def main():
    compression = sys.argv[2]
    producer = Producer(
        {
            **cluster(sys.argv[1]),
            "enable.idempotence": True,
            "compression.type": compression,
            "message.max.bytes": 16_000_000 if compression == "none" else 1_000_000_000,
            "linger.ms": 5 if compression == "none" else 500,
        }
    )
    offsets = []

    def delivered(place):
        def report(error, message):
            if error is not None:
                fail(str(error))
            offsets[place] = message.offset()

        return report

    for place, line in enumerate(sys.stdin):
        record = json.loads(line)
        offsets.append(None)
        producer.produce(
            record["topic"],
            partition=record["partition"],
            key=content(record["key"]),
            value=content(record["value"]),
            headers=[(name, content(value)) for name, value in record["headers"]],
            on_delivery=delivered(place),
        )
        producer.poll(0)
    producer.flush(120)
    for offset in offsets:
        if offset is None:
            fail("a record was not delivered within 120 s")
        print(json.dumps({"offset": offset}))


main()
