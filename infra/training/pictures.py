"""The pictures of an export, for a training job, by WebDataset. Needs webdataset and Pillow; PyTorch only where it is used.

    for picture in pictures("datasets/boats"):
        picture["image"], picture["caption"], picture["key"]

With PyTorch: torch.utils.data.DataLoader(pictures("datasets/boats", shuffle=1000), batch_size=None, num_workers=4)
"""

import argparse
import io
import json
from pathlib import Path

import webdataset as wds
from PIL import Image

# Of a decompression bomb nothing is decoded; the gate's policy says how large a picture may be.
Image.MAX_IMAGE_PIXELS = 50_000_000


def pictures(folder, shuffle=0):
    """An iterable of pictures, as PyTorch and WebDataset know them.

    :param shuffle: how many wait, for one of them to be drawn; 0: in the order of the export
    """
    # Shards of which all was taken out have nothing to say.
    shards = [str(path) for path in sorted(Path(folder, "shards").glob("*.tar")) if path.stat().st_size > 1024]
    dataset = wds.WebDataset(shards, shardshuffle=len(shards) if shuffle else False, empty_check=False)
    return (dataset.shuffle(shuffle) if shuffle else dataset).map(picture)


def picture(sample):
    item = json.loads(sample["json"])
    (payload,) = (value for name, value in sample.items() if not name.startswith("__") and not name.endswith("json"))
    image = Image.open(io.BytesIO(payload)).convert("RGB")
    return {"key": sample["__key__"], "image": image, "id": item["id"], "caption": item["training"]["caption"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="that `sluice train export` has written")
    for each in pictures(parser.parse_args().folder):
        width, height = each["image"].size
        told = {"key": each["key"], "id": each["id"], "caption": each["caption"], "width": width, "height": height}
        print(json.dumps(told))
