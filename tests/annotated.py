"""Small images with rectangles, annotated in the formats of COCO, YOLO and Pascal VOC."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("cat", "dog")
WIDTH, HEIGHT = 40, 20
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Scene:
    """An image with boxes, each (class, left, top, right, bottom) in pixels."""

    name: str
    split: str
    boxes: tuple[tuple[int, int, int, int, int], ...]


SCENES = (
    Scene("a", "train", ((0, 5, 2, 25, 12),)),
    Scene("b", "train", ((1, 10, 5, 20, 15), (0, 30, 0, 40, 20))),
    Scene("c", "train", ()),
    Scene("d", "train", ((1, 0, 0, 10, 10),)),
    Scene("e", "val", ((0, 8, 4, 16, 16), (1, 20, 4, 30, 8))),
)


def draw(path: Path, boxes: Sequence[tuple[int, ...]], orientation: int = 1) -> None:
    """Save a black image with white boxes, without loss."""
    from PIL import Image

    image = Image.new("RGB", (WIDTH, HEIGHT))
    for _, left, top, right, bottom in boxes:
        image.paste("white", (left, top, right, bottom))
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(path, exif=exif)


def write_coco(root: Path, scenes: Sequence[Scene] = SCENES) -> Path:
    """Write the official layout."""
    for split in dict.fromkeys(scene.split for scene in scenes):
        own = [scene for scene in scenes if scene.split == split]
        for scene in own:
            draw(root / f"{split}2017" / f"{scene.name}.png", scene.boxes)
        content = coco(own)
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    return root


def coco(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return the content of COCO's file."""
    rows = [(at, *box) for at, scene in enumerate(scenes, start=7) for box in scene.boxes]
    return {
        "images": [
            {"id": at, "file_name": f"{scene.name}.png", "width": WIDTH, "height": HEIGHT}
            for at, scene in enumerate(scenes, start=7)
        ],
        "annotations": [
            {
                "id": at, "image_id": image, "category_id": 3 * label + 1, "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
            }
            for at, (image, label, left, top, right, bottom) in enumerate(rows)
        ],
        "categories": [{"id": 3 * at + 1, "name": name} for at, name in enumerate(NAMES)],
    }  # fmt: skip


def write_yolo(root: Path, scenes: Sequence[Scene] = SCENES) -> Path:
    """Write images/ and labels/ with folders for the splits."""
    for scene in scenes:
        draw(root / "images" / scene.split / f"{scene.name}.png", scene.boxes)
        lines = [
            f"{label} {(left + right) / 2 / WIDTH} {(top + bottom) / 2 / HEIGHT} "
            f"{(right - left) / WIDTH} {(bottom - top) / HEIGHT}"
            for label, left, top, right, bottom in scene.boxes
        ]
        text = root / "labels" / scene.split / f"{scene.name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join([*lines, ""]))
    splits = dict.fromkeys(scene.split for scene in scenes)
    lines = [f"{split}: images/{split}" for split in splits]
    (root / "data.yaml").write_text("\n".join([*lines, "names: [cat, dog]", ""]))
    return root


def write_voc(root: Path, scenes: Sequence[Scene] = SCENES) -> Path:
    """Write JPEGImages/, Annotations/ and ImageSets/Main/."""
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        draw(root / "JPEGImages" / f"{scene.name}.png", scene.boxes)
        (root / "Annotations" / f"{scene.name}.xml").write_text(voc(scene))
    for split in dict.fromkeys(scene.split for scene in scenes):
        names = [scene.name for scene in scenes if scene.split == split]
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join([*names, ""]))
    return root


def voc(scene: Scene, *, size: tuple[int, int] = (WIDTH, HEIGHT), difficult: int = 0) -> str:
    """Return the XML of an image."""
    objects = "\n".join(
        f"<object><name>{NAMES[label]}</name><difficult>{difficult}</difficult>"
        f"<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        "</bndbox></object>"
        for label, left, top, right, bottom in scene.boxes
    )
    return (
        f"<annotation>\n<filename>{scene.name}.png</filename>\n"
        f"<size><width>{size[0]}</width><height>{size[1]}</height></size>\n{objects}\n</annotation>"
    )


WRITERS: dict[str, Callable[[Path], Path]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
}
