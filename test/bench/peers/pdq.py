"""Hashes raw RGB pictures with pdqhash, in 8 orientations. A question a line, as JSON; an answer a line."""

import json
import sys
import time

import numpy as np
import pdqhash

# Where compute_dihedral keeps each of our orientations: it turns counter-clockwise, and lists its flips by axis.
ORDER = [0, 3, 2, 1, 5, 4, 6, 7]


def load(picture):
    return np.fromfile(picture["path"], dtype=np.uint8).reshape(picture["height"], picture["width"], 3)


def main():
    pictures = []
    for line in sys.stdin:
        question = json.loads(line)
        if "pictures" in question:
            pictures = [load(picture) for picture in question["pictures"]]
            answer = {"ready": True}
        else:
            began = time.perf_counter()
            for _ in range(question["rounds"]):
                found = [pdqhash.compute_dihedral(picture)[0] for picture in pictures]
            seconds = time.perf_counter() - began
            hashes = [[np.packbits(vectors[at]).tobytes().hex() for at in ORDER] for vectors in found]
            answer = {"milliseconds": seconds * 1000 / question["rounds"] / len(pictures), "hashes": hashes}
        print(json.dumps(answer), flush=True)


main()
