"""Searches for binary hashes within a radius with FAISS, one thread. A question a line, as JSON; an answer a line."""

import json
import sys
import time

import faiss
import numpy as np

BITS = 256
RADIUS = 31


def load(path):
    return np.fromfile(path, dtype=np.uint8).reshape(-1, BITS // 8)


def multi_hash(substrings):
    # Of so many substrings one at least is within this many bits: finds all within the radius.
    index = faiss.IndexBinaryMultiHash(BITS, substrings, BITS // substrings)
    index.nflip = RADIUS // substrings
    return index


INDEXES = {
    "flat": lambda: faiss.IndexBinaryFlat(BITS),
    "multi-hash": lambda: multi_hash(16),
    # What was found fastest for a million.
    "multi-hash 11x23": lambda: multi_hash(11),
}


def main():
    faiss.omp_set_num_threads(1)
    index = None
    for line in sys.stdin:
        question = json.loads(line)
        if "known" in question:
            index = INDEXES[question["index"]]()
            began = time.perf_counter()
            index.add(load(question["known"]))
            answer = {"buildSeconds": time.perf_counter() - began}
        else:
            queries = load(question["queries"])[: question["count"]]
            began = time.perf_counter()
            # Its own radius is one more.
            limits = index.range_search(queries, question["radius"] + 1)[0]
            seconds = time.perf_counter() - began
            answer = {"milliseconds": seconds * 1000 / len(queries), "hits": np.diff(limits.astype(np.int64)).tolist()}
        print(json.dumps(answer), flush=True)


main()
