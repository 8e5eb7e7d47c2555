"""A gate as it would be written in Python today: reads items, decodes and hashes their pictures, looks for known hashes, and passes them on.

One process a core, each with partitions of its own. A question a line, as JSON; an answer a line. It has no transactions, no provenance, no
sandbox, and looks at a picture as it stands only, in 8 orientations.
"""

import io
import json
import struct
import sys
import time
import urllib.request

import faiss
import numpy as np
import pdqhash
from confluent_kafka import Consumer, Producer, TopicPartition
from fastavro import parse_schema, schemaless_reader
from PIL import Image

BITS = 256
RADIUS = 31
LEAST_QUALITY = 50
BATCH = 64
FETCH_BYTES = 8_000_000


def load(path):
    # 16 substrings of 16 bits, each within one bit: finds all within 31 bits.
    index = faiss.IndexBinaryMultiHash(BITS, 16, 16)
    index.nflip = 1
    index.add(np.fromfile(path, dtype=np.uint8).reshape(-1, BITS // 8))
    return index


def is_known(index, payload):
    picture = np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))
    vectors, quality = pdqhash.compute_dihedral(picture)
    if quality < LEAST_QUALITY:
        return False
    limits = index.range_search(np.packbits(np.stack(vectors), axis=1), RADIUS + 1)[0]
    return int(limits[-1]) > 0


class Reader:
    """Avro values in the Confluent wire format."""

    def __init__(self, registry):
        self.registry = registry
        self.schemas = {}

    def read(self, value):
        (number,) = struct.unpack(">I", value[1:5])
        if number not in self.schemas:
            with urllib.request.urlopen(f"{self.registry}/schemas/ids/{number}") as answer:
                self.schemas[number] = parse_schema(json.loads(json.load(answer)["schema"]))
        return schemaless_reader(io.BytesIO(value[5:]), self.schemas[number])


def run(question, index):
    topic = question["topic"]
    consumer = Consumer({
        "bootstrap.servers": question["brokers"],
        "group.id": question["group"],
        "enable.auto.commit": False,
        "fetch.message.max.bytes": FETCH_BYTES,
    })
    producer = Producer({"bootstrap.servers": question["brokers"], "linger.ms": 20, "message.max.bytes": FETCH_BYTES})
    reader = Reader(question["registry"])
    ends = {each["partition"]: each["end"] for each in question["partitions"]}
    consumer.assign([TopicPartition(topic, each["partition"], each["begin"]) for each in question["partitions"]])
    left = sum(each["end"] - each["begin"] for each in question["partitions"])
    held = 0
    began = time.perf_counter()
    while left > 0:
        for message in consumer.consume(BATCH, timeout=0.2):
            if message.error():
                raise RuntimeError(message.error())
            if message.offset() >= ends[message.partition()]:
                continue
            known = is_known(index, reader.read(message.value())["inline"])
            held += known
            target = question["held"] if known else question["clean"]
            producer.produce(target, message.value(), message.key(), partition=message.partition())
            left -= 1
        producer.flush()
        consumer.commit(asynchronous=True)
    consumer.close()
    return {"seconds": time.perf_counter() - began, "held": held}


def main():
    faiss.omp_set_num_threads(1)
    index = None
    for line in sys.stdin:
        question = json.loads(line)
        if "known" in question:
            index = load(question["known"])
            answer = {"ready": True}
        else:
            answer = run(question, index)
        print(json.dumps(answer), flush=True)


main()
