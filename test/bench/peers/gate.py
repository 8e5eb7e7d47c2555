"""A gate as it would be written in Python today: reads items, decodes and hashes their pictures, looks for known hashes, and passes them on.

One process a core, each with partitions of its own. It works on batches: librdkafka reads ahead meanwhile, and the search is asked once a batch.
A question a line, as JSON; an answer a line.

What it does not do, all of which is to its advantage: it has no transactions (a crash passes some items on twice), computes no digests
and looks for none, keeps no verdict, no fingerprint and no provenance beside the message, puts no payload into a store of its own (the whole message
goes on to the one topic or the other), writes no reason, finds matches within one distance only, looks at no frames, borders or
previews, and decodes in the process that holds the credentials.

"shrink" has pictures brought to 512 pixels before they are hashed, and decoded at about that size, as some do: several times as fast, but then the
hashes are not those of the reference: a few bits are others, and near the edge of the distance a match is lost.
"""

import io
import json
import struct
import sys
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
ORIENTATIONS = 8
SHRUNK = (512, 512)
BATCH = 64
FETCH_BYTES = 8_000_000


def load(path):
    # Of 31 bits at most, one of 11 substrings has at most 2: finds all. Among a million hashes no other division that finds all is as
    # fast; 16 substrings and 1 bit, which take less memory, take three times as long, and going through all of them takes twice as long.
    index = faiss.IndexBinaryMultiHash(BITS, 11, 23)
    index.nflip = 2
    index.add(np.fromfile(path, dtype=np.uint8).reshape(-1, BITS // 8))
    return index


def hashes_of(payload, shrink):
    picture = Image.open(io.BytesIO(payload))
    if shrink:
        picture.draft("RGB", SHRUNK)
    picture = picture.convert("RGB")
    if shrink:
        picture.thumbnail(SHRUNK)
    return pdqhash.compute_dihedral(np.asarray(picture))


def are_known(index, payloads, shrink):
    """One answer for each payload."""
    hashed = [hashes_of(payload, shrink) for payload in payloads]
    queries = np.packbits(np.array([vectors for vectors, _ in hashed], dtype=np.uint8).reshape(-1, BITS), axis=1)
    # FAISS finds what is nearer than its radius.
    limits = index.range_search(queries, RADIUS + 1)[0].astype(np.int64)
    hits = np.diff(limits).reshape(-1, ORIENTATIONS).sum(axis=1)
    return [quality >= LEAST_QUALITY and count > 0 for (_, quality), count in zip(hashed, hits)]


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
    login = question["login"]
    cluster = {"bootstrap.servers": question["brokers"]}
    if login:
        cluster |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": login["KAFKA_USER"],
            "sasl.password": login["KAFKA_PASSWORD"],
        }
    consumer = Consumer({
        **cluster,
        "group.id": question["group"],
        "enable.auto.commit": False,
        "fetch.message.max.bytes": FETCH_BYTES,
    })
    producer = Producer({**cluster, "linger.ms": 20, "message.max.bytes": FETCH_BYTES})
    reader = Reader(question["registry"])
    places = question["places"]
    ends = {place["partition"]: place["end"] for place in places}
    consumer.assign([TopicPartition(question["topic"], place["partition"], place["begin"]) for place in places])
    left = sum(place["end"] - place["begin"] for place in places)
    held = 0
    while left > 0:
        messages = consumer.consume(BATCH, timeout=0.2)
        for message in messages:
            if message.error():
                raise RuntimeError(message.error())
        messages = [message for message in messages if message.offset() < ends[message.partition()]]
        if not messages:
            continue
        payloads = [reader.read(message.value())["inline"] for message in messages]
        for message, known in zip(messages, are_known(index, payloads, question["shrink"])):
            target = question["held"] if known else question["clean"]
            producer.produce(target, message.value(), message.key(), partition=message.partition())
            held += int(known)
        producer.flush()
        left -= len(messages)
        done = {message.partition(): message.offset() + 1 for message in messages}
        offsets = [TopicPartition(question["topic"], partition, offset) for partition, offset in done.items()]
        # The last one is waited for.
        consumer.commit(offsets=offsets, asynchronous=left > 0)
    consumer.close()
    return {"held": held}


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
