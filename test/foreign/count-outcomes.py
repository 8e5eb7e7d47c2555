"""Counts what became of every record of the door, with librdkafka at read_committed, and writes one JSON object.

Each door record must have one outcome (on gate.clean, gate.quarantine or gate.review), one verdict and one envelope, all in its own
partition, in input order, under one key and saying the same; the group must have committed the end of the door; and every object
that an outcome refers to must lie in its store with the sha256 that it is named by. Whatever is otherwise is counted by its kind,
the first few are told. "fates" counts outcomes and reasons by the part of the door key before its first dash.
A partition is counted by one process, so a large count uses all cores and holds the offsets of a few partitions only.
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import pathlib
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from plain import cluster, committed, fail, high_watermark, topics_of
from schemas import Schemas

OUTCOMES = {"gate.clean": "clean", "gate.quarantine": "quarantine", "gate.review": "review"}
DOOR, VERDICTS, ENVELOPES = "crawl.items", "gate.verdicts", "gate.envelopes"
TOPICS = [DOOR, *OUTCOMES, VERDICTS, ENVELOPES]
FAULTS = ["duplicates", "losses", "orderFaults", "strays", "disagreements", "missingObjects", "wrongObjects", "behind"]
EXAMPLES = 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True, help="URL of the Confluent-compatible API")
    parser.add_argument("--prefix", required=True, help="of topics and group")
    parser.add_argument("--stores", required=True, type=pathlib.Path, help="folder that holds the stores")
    parser.add_argument("--seconds", type=float, default=120, help="for so long nothing may come of a partition that is not at its end")
    return parser.parse_args()


def client(arguments, isolation="read_committed"):
    return Consumer(
        {
            **cluster(arguments.brokers),
            "group.id": f"{arguments.prefix}gate" if isolation == "read_committed" else "foreign-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 50,
            "check.crcs": True,
            "queued.max.messages.kbytes": 65536,
        }
    )


class Count:
    """One partition of the door and of all that follows it."""

    def __init__(self, arguments, partition):
        self.arguments = arguments
        self.partition = partition
        self.faults = collections.Counter()
        self.examples = []
        self.fates = collections.Counter()
        self.outcomes = collections.Counter()
        self.door = {}
        self.found = {topic: {} for topic in TOPICS[1:]}
        self.last = dict.fromkeys(self.found, -1)
        self.objects = set()

    def fault(self, kind, place, sentence):
        self.faults[kind] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{kind}: {self.partition}/{place}: {sentence}")

    def take_door(self, message):
        key = message.key()
        self.door[message.offset()] = None if key is None else key.decode(errors="replace")

    def take_output(self, topic, message, value):
        source = value["input"] if value is not None else {}
        offset = source.get("offset")
        if source.get("topic") != self.arguments.prefix + DOOR or source.get("partition") != self.partition:
            return self.fault("strays", message.offset(), f"{topic} holds what is about no record of this partition")
        found = self.found[topic]
        if offset in found:
            return self.fault("duplicates", offset, f"twice on {topic}")
        if offset < self.last[topic]:
            self.fault("orderFaults", offset, f"after {self.last[topic]} on {topic}")
        self.last[topic] = max(self.last[topic], offset)
        found[offset] = (message.key(), *self.said(topic, value))

    def said(self, topic, value):
        if topic == ENVELOPES:
            return ()
        if topic == "gate.clean":
            self.objects.add(("clean", value["payload"]["reference"]))
            return ("clean", "", None)
        held = value["heldReference"]
        if topic != VERDICTS:
            self.objects.add(("held", held))
            if value["payloadReference"] is not None:
                self.objects.add(("held", value["payloadReference"]))
        return (value["outcome"], "+".join(value["reasons"]) if value["outcome"] != "clean" else "", held)

    def read(self, consumer, ends, schemas):
        prefix = len(self.arguments.prefix)
        consumer.assign([TopicPartition(topic, self.partition, OFFSET_BEGINNING) for topic in ends])
        behind = {topic for topic, end in ends.items() if end > 0}
        deadline = time.monotonic() + self.arguments.seconds
        while behind:
            if time.monotonic() > deadline:
                raise TimeoutError(f"partition {self.partition} is not read to its end in time: {', '.join(sorted(behind))}")
            messages = consumer.consume(1000, timeout=0.5)
            if any(message.error() is None for message in messages):
                deadline = time.monotonic() + self.arguments.seconds
            for message in messages:
                if message.error() is None:
                    topic = message.topic()[prefix:]
                    if topic == DOOR:
                        self.take_door(message)
                    else:
                        self.take_output(topic, message, schemas.decode(message.value()))
                    end = message.offset() + 1
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    # Beyond control records and aborted ones, which are never handed out.
                    end = message.offset()
                else:
                    continue
                if end >= ends[message.topic()]:
                    behind.discard(message.topic())

    def compare(self):
        for offset, key in self.door.items():
            outcomes = [found for topic in OUTCOMES if (found := self.found[topic].get(offset)) is not None]
            verdict = self.found[VERDICTS].get(offset)
            envelope = self.found[ENVELOPES].get(offset)
            if len(outcomes) > 1:
                self.fault("duplicates", offset, "more than one outcome")
            lacking = [name for name, is_there in (("outcome", outcomes), ("verdict", verdict), ("envelope", envelope)) if not is_there]
            if lacking:
                self.fault("losses", offset, f"no {' and no '.join(lacking)}")
                continue
            if verdict != outcomes[0]:
                self.fault("disagreements", offset, f"{verdict[1:]} on the verdict, {outcomes[0][1:]} on the outcome")
            elif envelope[0] != verdict[0]:
                self.fault("disagreements", offset, "the envelope has another key")
            kind = "" if key is None else key.split("-", 1)[0]
            self.fates[f"{kind} {verdict[1]} {verdict[2]}".strip()] += 1
            self.outcomes[verdict[1]] += 1
        for topic, found in self.found.items():
            for offset in found.keys() - self.door.keys():
                self.fault("strays", offset, f"on {topic}, but the door has no such record")

    def look_into_stores(self):
        for store, reference in self.objects:
            path = self.arguments.stores / store / reference[:2] / reference
            try:
                if hashlib.sha256(path.read_bytes()).hexdigest() != reference:
                    self.fault("wrongObjects", reference, f"has another sha256 in {store}")
            except FileNotFoundError:
                self.fault("missingObjects", reference, f"is not in {store}")

    def compare_committed(self, consumer, end):
        door = self.arguments.prefix + DOOR
        [place] = committed(consumer, [(door, self.partition)])
        # Behind the last item there may be a marker of a replay's transaction, which nobody judges.
        last = max(self.door, default=end - 1)
        if not last < max(place.offset, 0) <= end and end > 0:
            self.fault("behind", place.offset, f"committed, but the last item is at {last}, and the door ends at {end}")


def count(arguments, partition):
    try:
        return count_partition(arguments, partition)
    except KafkaException as exception:
        # It can't go from one process to another; what it says can.
        raise RuntimeError(f"partition {partition}: {exception}") from None


def count_partition(arguments, partition):
    looker = client(arguments, "read_uncommitted")
    topics = [arguments.prefix + topic for topic in TOPICS]
    ends = {topic: high_watermark(looker, topic, partition) for topic in topics}
    looker.close()
    counted = Count(arguments, partition)
    consumer = client(arguments)
    counted.read(consumer, ends, Schemas(arguments.registry))
    counted.compare_committed(consumer, ends[arguments.prefix + DOOR])
    consumer.close()
    counted.compare()
    counted.look_into_stores()
    return {
        "items": len(counted.door),
        "objects": len(counted.objects),
        "faults": counted.faults,
        "outcomes": counted.outcomes,
        "fates": counted.fates,
        "examples": counted.examples,
    }


def main():
    arguments = parse_arguments()
    door = arguments.prefix + DOOR
    looker = client(arguments)
    found = topics_of(looker).get(door)
    looker.close()
    if found is None or found.error is not None:
        fail(f"there is no topic {door}")
    with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, len(found.partitions))) as pool:
        counts = pool.starmap(count, [(arguments, partition) for partition in found.partitions], chunksize=1)
    faults, outcomes, fates = collections.Counter(), collections.Counter(), collections.Counter()
    for each in counts:
        faults.update(each["faults"])
        outcomes.update(each["outcomes"])
        fates.update(each["fates"])
    json.dump(
        {
            "items": sum(each["items"] for each in counts),
            "objects": sum(each["objects"] for each in counts),
            **{kind: faults[kind] for kind in FAULTS},
            "outcomes": outcomes,
            "fates": fates,
            "examples": [example for each in counts for example in each["examples"]][:EXAMPLES],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
