"""The gate's door for crawlers in Python: an envelope and a payload become a message on crawl.items, by confluent-kafka.

    with Door(brokers="localhost:9092", registry="http://localhost:8081", stores="/srv/sluice/stores") as door:
        door.publish({"item": {"id": "pictures-1"}, "supply": {"kind": "web-crawl"}}, payload)
"""

import base64
import hashlib
import json
import os
import re
import uuid
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

ITEM_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
INLINE_BYTES = 190 * 1024


def item_id(prefix, *coordinates):
    """An id made of what the item is at its source, e.g. its URL: publishing it twice gives the same one."""
    digest = hashlib.sha256("\n".join(coordinates).encode()).hexdigest()
    return f"{prefix}-{digest[:40]}"


class Door:
    """Publishes items. Not for several threads at once."""

    def __init__(
        self, brokers, registry, stores=None, prefix="", source="/example/crawler", as_json=False, credentials=None, kafka=None
    ):
        """
        :param stores: the folder that the gate's stores are in, for payloads too long for a message
        :param prefix: of the gate's topics, where it has one
        :param source: names the crawler, as a URI reference
        :param as_json: JSON instead of Avro; then no registry is asked
        :param credentials: a file with one line, user:password, for brokers that ask who comes
        :param kafka: further settings of librdkafka, such as those of TLS
        """
        self.topic = f"{prefix}crawl.items"
        self.source = source
        self.intake = None if stores is None else Path(stores) / "intake"
        self.undelivered = []
        login = {} if credentials is None else self.login(credentials)
        self.producer = Producer(
            {"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 20, **login, **(kafka or {})}
        )
        self.avro = None if as_json else self.serializer(registry)

    @staticmethod
    def login(credentials):
        user, password = Path(credentials).read_text().strip().split(":", 1)
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
        }

    @staticmethod
    def serializer(registry):
        # The schema that the gate has registered: a crawler registers none. A field that it does not have is a mistake here.
        return AvroSerializer(
            SchemaRegistryClient({"url": registry}),
            conf={
                "auto.register.schemas": False,
                "use.latest.version": True,
                "subject.name.strategy": topic_subject_name_strategy,
                "validate.strict.allow.default": True,
            },
        )

    def publish(self, envelope, payload):
        """
        Takes an item; it is written when `flush` has returned.

        :param envelope: groups of fields as in schemas/envelope.avsc; what is not known is left out
        :param payload: bytes
        """
        key = envelope["item"]["id"]
        if not ITEM_ID.fullmatch(key):
            raise ValueError("an item id is 1 to 64 of A-Z a-z 0-9 . _ -")
        sha256 = hashlib.sha256(payload).hexdigest()
        inline = payload if len(payload) <= INLINE_BYTES else None
        claims = {"size": len(payload), "sha256": sha256}
        if inline is None:
            # Before its message: the gate holds an item whose payload is not there.
            self.store(sha256, payload)
            claims["reference"] = sha256
        item = {"envelope": {**envelope, "payload": claims}, "inline": inline}
        self.produce(key, *(self.as_json(item) if self.avro is None else self.as_avro(item)))

    def as_avro(self, item):
        return self.avro(item, SerializationContext(self.topic, MessageField.VALUE)), "application/avro"

    @staticmethod
    def as_json(item):
        if item["inline"] is not None:
            item = {**item, "inline": base64.b64encode(item["inline"]).decode()}
        return json.dumps(item, ensure_ascii=False).encode(), "application/json"

    def produce(self, key, value, content_type):
        # CloudEvents, which are optional: they lead from an item back to what the crawler logged under this id.
        headers = {
            "ce_specversion": "1.0",
            "ce_type": "org.example.crawl.item",
            "ce_source": self.source,
            "ce_id": str(uuid.uuid4()),
            "ce_subject": key,
            "content-type": content_type,
        }
        while True:
            try:
                self.producer.produce(self.topic, key=key, value=value, headers=headers, on_delivery=self.delivered)
                self.producer.poll(0)
                return
            except BufferError:
                # The client holds as much as it may: wait until the brokers have taken some of it.
                self.producer.poll(1)

    def delivered(self, error, message):
        if error is not None:
            self.undelivered.append((message.key().decode(), error.str()))

    def store(self, sha256, payload):
        """Puts a payload into the intake store, `ab/abcd...`: whole or not at all, and durably."""
        if self.intake is None:
            raise ValueError(f"a payload of {len(payload)} bytes is too long for a message, and no stores are named")
        if not (self.intake / ".sluice-store").exists():
            raise FileNotFoundError(f"{self.intake} is no store: is its disk mounted?")
        place = self.intake / sha256[:2] / sha256
        if place.exists():
            return
        place.parent.mkdir(exist_ok=True)
        draft = self.intake / f".{uuid.uuid4()}"
        try:
            with open(draft, "xb", opener=lambda path, flags: os.open(path, flags, 0o640)) as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, place)
        finally:
            draft.unlink(missing_ok=True)
        for folder in (place.parent, self.intake):
            handle = os.open(folder, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)

    def flush(self, seconds=120):
        """Returns when everything is on the topic. Raises when something is not: publish it again, with the same ids."""
        left = self.producer.flush(seconds)
        if left or self.undelivered:
            raise RuntimeError(f"{left + len(self.undelivered)} items were not written, first: {self.undelivered[:3]}")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.flush()
        else:
            self.producer.flush(10)
