"""Data with boxes: three formats of the same objects, rotated, clipped, split and zipped."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

from annotated import HEIGHT, NAMES, SCENES, WIDTH, WRITERS, Scene, draw, voc, write_voc  # noqa: E402

from nas.core.errors import BadFile  # noqa: E402
from nas.training.data import Data, load_data  # noqa: E402
from nas.training.objects import Objects  # noqa: E402

pytestmark = pytest.mark.torch

BCCD = Path(__file__).parents[3] / "shared" / "data" / "bccd" / "bccd_voc.zip"
KINDS = sorted(WRITERS)


def _objects(data: Data, split: str = "train") -> Objects:
    labels = getattr(data, split).labels
    assert isinstance(labels, Objects)
    return labels


def _zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_objects(kind: str, tmp_path: Path) -> None:
    root = WRITERS[kind](tmp_path / "data")
    data = load_data(f"{kind}:{root}")
    assert (data.task, data.classes, data.test) == ("detection", NAMES, None)
    train, val = _objects(data), _objects(data, "val")
    assert (train.counts.tolist(), val.counts.tolist()) == ([1, 2, 0, 1], [2])
    assert train.labels.tolist() == [0, 1, 0, 1]
    expected = [box[1:] for scene in SCENES[:4] for box in scene.boxes]
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    assert train.corners * scale == pytest.approx(np.array(expected, float), abs=1e-5)
    assert (train.sizes == (WIDTH, HEIGHT)).all()
    assert data.notes[0] == "images without objects: 1 of train"


@pytest.mark.parametrize("kind", KINDS)
def test_whole_images_are_stretched_and_boxes_with_them(kind: str, tmp_path: Path) -> None:
    data = load_data(f"{kind}:{WRITERS[kind](tmp_path / 'data')}")
    pixels = data.train.read(np.array([0]), 80)[0, 0] > 127
    rows, columns = pixels.any(1).nonzero()[0], pixels.any(0).nonzero()[0]
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert seen == pytest.approx(_objects(data).corners[0] * 80, abs=1.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_zip_is_the_same_data_and_travels(kind: str, tmp_path: Path) -> None:
    root = WRITERS[kind](tmp_path / "data")
    folder, packed = load_data(f"{kind}:{root}"), load_data(f"{kind}:{_zipped(root)}")
    assert folder.fingerprint == packed.fingerprint
    assert folder.notes == packed.notes
    read = pickle.loads(pickle.dumps(packed.train.read))
    assert (read(np.arange(4), 16) == folder.train.read(np.arange(4), 16)).all()
    moved = root.rename(tmp_path / "elsewhere")
    assert load_data(f"{kind}:{moved}").fingerprint == folder.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_without_validation_images_a_share_is_taken(kind: str, tmp_path: Path) -> None:
    scenes = [Scene(f"{at:02}", "train", ((at % 2, 2, 2, 9, 9),)) for at in range(10)]
    root = WRITERS[kind](tmp_path / "data", scenes)  # type: ignore[call-arg]  # they take scenes
    data, again = (load_data(f"{kind}:{root},val=0.3,test=0.2", seed=1) for _ in range(2))
    assert [len(data.train), len(data.val), len(_objects(data, "test"))] == [5, 3, 2]
    assert data.fingerprint == again.fingerprint
    assert load_data(f"{kind}:{root},val=0.3,test=0.2", seed=2).fingerprint != data.fingerprint


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [False, True])
def test_boxes_are_turned_with_their_images(
    orientation: int, upright: bool, tmp_path: Path
) -> None:
    """Boxes are of the stored pixels, unless the annotation has the size of the upright image."""
    scene = Scene("a", "train", ((0, 5, 2, 25, 12),))
    root = write_voc(tmp_path, [scene, Scene("e", "val", ((0, 1, 1, 5, 5),))])
    draw(root / "JPEGImages" / "a.png", scene.boxes, orientation)
    if upright and orientation >= 5:
        sizes = (HEIGHT, WIDTH)
        with Image.open(root / "JPEGImages" / "a.png") as image:
            turned = np.asarray(ImageOps.exif_transpose(image))[..., 0]
        rows, columns = turned.any(1).nonzero()[0], turned.any(0).nonzero()[0]
        corners = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        text = voc(Scene("a", "train", ((0, *corners),)), size=sizes)
        (root / "Annotations" / "a.xml").write_text(text)
    data = load_data(f"voc:{root}")
    assert any("EXIF turns (1)" in note for note in data.notes) == (orientation > 1)
    objects = _objects(data)
    assert objects.sizes.tolist() == [[HEIGHT, WIDTH] if orientation >= 5 else [WIDTH, HEIGHT]]
    pixels = data.train.read(np.array([0]), 80)[0, 0] > 127
    rows, columns = pixels.any(1).nonzero()[0], pixels.any(0).nonzero()[0]
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert seen == pytest.approx(objects.corners[0] * 80, abs=1.01)


def test_areas_of_coco_are_those_of_outlines(tmp_path: Path) -> None:
    root = WRITERS["coco"](tmp_path / "coco")
    path = root / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    for image in content["images"]:  # half as large as the stored image
        image |= {"width": WIDTH // 2, "height": HEIGHT // 2}
    for number, entry in enumerate(content["annotations"]):
        entry |= {"bbox": [side / 2 for side in entry["bbox"]], "area": 2.5 + number}
    del content["annotations"][1]["area"]
    path.write_text(json.dumps(content))
    areas = _objects(load_data(f"coco:{root}")).areas
    assert areas is not None
    assert areas.tolist()[0::2] == [10.0, 18.0]
    assert np.isnan(areas[1])
    assert areas[3] == 22.0


def test_boxes_follow_images_that_were_resized_since(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    double = Scene("a", "train", ((0, 10, 4, 50, 24),))
    (root / "Annotations" / "a.xml").write_text(voc(double, size=(2 * WIDTH, 2 * HEIGHT)))
    data = load_data(f"voc:{root}")
    assert "annotated 80x40, now 40x20" in data.notes[0]
    assert _objects(data).corners[0] == pytest.approx([5 / 40, 2 / 20, 25 / 40, 12 / 20])


def test_boxes_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    boxes = (
        (0, 5, 5, 5, 9), (0, 9, 9, 4, 12), (1, 50, 2, 60, 9), (1, 30, -5, 55, 9), (0, 1, 1, 9, 9),
        (0, 2, 2, 9, 9), (0, 0, 0, 41, 20),
    )  # fmt: skip
    data = load_data(f"voc:{write_voc(tmp_path, [Scene('a', 'train', boxes), *SCENES[3:]])}")
    assert data.notes[:3] == (
        "skipped boxes without width or height (2): JPEGImages/a.png",
        "skipped boxes outside of their images (1): JPEGImages/a.png",
        "boxes that leave their images are cut (1): JPEGImages/a.png",  # by more than a pixel
    )
    objects = _objects(data)
    assert objects.counts.tolist() == [4, 1]
    assert objects.corners[0] == pytest.approx([0.75, 0, 1, 9 / 20])
    assert objects.corners[3] == pytest.approx([0, 0, 1, 1])


def test_difficult_objects_are_crowds(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    (root / "Annotations" / "b.xml").write_text(voc(SCENES[1], difficult=1))
    data = load_data(f"voc:{root}")
    assert _objects(data).crowd.tolist() == [False, True, True, False]
    assert "crowds and difficult objects (2) are neither learned nor missed" in data.notes


def test_a_million_boxes_in_an_image_are_refused(tmp_path: Path) -> None:
    root = WRITERS["yolo"](tmp_path)
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n" * 20_000)
    with pytest.raises(BadFile, match=r"a\.png has 20,000 boxes, more than 10,000; cut the image"):
        load_data(f"yolo:{root}")


@pytest.mark.parametrize("kind", KINDS)
def test_no_boxes_at_all_are_refused(kind: str, tmp_path: Path) -> None:
    scenes = [Scene(name, "train", ()) for name in "abc"]
    root = WRITERS[kind](tmp_path, scenes)  # type: ignore[call-arg]  # as above
    with pytest.raises(BadFile, match="there are no boxes in its 3 images; a detector needs some"):
        load_data(f"{kind}:{root}")


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_outside_of_all_images_are_refused(kind: str, tmp_path: Path) -> None:
    scenes = [Scene(name, "train", ((0, 45, 22, 50, 25),)) for name in "abc"]
    root = WRITERS[kind](tmp_path, scenes)  # type: ignore[call-arg]  # as above
    with pytest.raises(BadFile, match="3 of 3 boxes lie outside of their images"):
        load_data(f"{kind}:{root}")


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_missing_or_corrupt_are_counted(kind: str, tmp_path: Path) -> None:
    root = WRITERS[kind](tmp_path)
    (first,) = root.rglob("d.png")
    first.write_bytes(b"no image")
    notes = load_data(f"{kind}:{root}").notes
    assert any("skipped corrupt images (1)" in note and "d.png" in note for note in notes)
    with pytest.raises(BadFile, match="cannot be decoded, more than the 0 that max_bad allows"):
        load_data(f"{kind}:{root},max_bad=0")
    if kind == "yolo":  # its images are those in the folder
        return
    first.unlink()
    notes = load_data(f"{kind}:{root}").notes
    assert any("whose images are missing (1)" in note for note in notes)
    with pytest.raises(BadFile, match=r"1 of 5 annotated images are missing: .*d\.png; max_bad"):
        load_data(f"{kind}:{root},max_bad=0")


def test_images_without_annotation_are_counted(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc")
    draw(root / "JPEGImages" / "z.png", ())
    (root / "Annotations" / "d.xml").unlink()
    notes = load_data(f"voc:{root}").notes
    assert "skipped images without annotation (1): d" in notes
    assert "images without an XML file are not used (1): JPEGImages/z.png" in notes
    root = WRITERS["coco"](tmp_path / "coco")
    draw(root / "train2017" / "z.png", ())
    notes = load_data(f"coco:{root}").notes
    assert "images that no annotations name are not used (1): train2017/z.png" in notes
    root = WRITERS["yolo"](tmp_path / "yolo")
    draw(root / "images" / "train" / "z.png", ())
    (root / "images" / "train" / "d.png").unlink()
    data = load_data(f"yolo:{root}")
    assert "images without a text count as empty (1): images/train/z.png" in data.notes
    assert "texts without an image are not used (1): labels/train/d.txt" in data.notes
    assert _objects(data).counts.tolist() == [1, 2, 0, 0]


def test_classes_that_only_validation_has_are_refused(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", [SCENES[0], SCENES[4]])
    with pytest.raises(BadFile, match="val has objects of dog, of which there are none for train"):
        load_data(f"voc:{root}")
    root = WRITERS["coco"](tmp_path / "coco")
    file = root / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 4, "name": "cat"}, {"id": 1, "name": "dog"}]
    file.write_text(json.dumps(content))
    data = load_data(f"coco:{root}")
    assert _objects(data, "val").labels.tolist() == [1, 0]  # names count, not ids
    content["categories"][1]["name"] = "Dog"
    file.write_text(json.dumps(content))
    with pytest.raises(BadFile, match="val has boxes of Dog, which are no categories for training"):
        load_data(f"coco:{root}")


@pytest.mark.parametrize("kind", KINDS)
def test_images_in_two_splits_are_noted(kind: str, tmp_path: Path) -> None:
    root = WRITERS[kind](tmp_path)
    if kind == "voc":
        (root / "ImageSets" / "Main" / "val.txt").write_text("a\ne\n")
    elif kind == "yolo":
        index = (root / "data.yaml").read_text()
        (root / "data.yaml").write_text(index.replace("val: images/val", "val: images/train"))
    else:
        shutil.copy(
            root / "annotations" / "instances_train2017.json",
            root / "annotations" / "instances_val2017.json",
        )
    again = {"voc": 1, "yolo": 4, "coco": 4}[kind]
    where = f",images={root}/train2017" if kind == "coco" else ""
    notes = load_data(f"{kind}:{root}{where}").notes
    assert any(f"images that come more than once ({again})" in note for note in notes)


def test_the_blood_cells_are_those_that_were_published() -> None:
    if not BCCD.is_file():
        pytest.skip("the data set is not there")
    data = load_data(f"voc:{BCCD}")
    parts = [_objects(data, split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [205, 87, 72]
    assert data.classes == ("Platelets", "RBC", "WBC")
    counts = sum(np.bincount(part.labels, minlength=3) for part in parts)
    assert counts.tolist() == [361, 4153, 372]
    assert data.notes[0].startswith("skipped boxes without width or height (2)")


def test_test_images_without_boxes_are_not_used(tmp_path: Path) -> None:
    root = write_voc(tmp_path, [*SCENES, Scene("f", "test", ()), Scene("g", "test", ())])
    data = load_data(f"voc:{root}")
    assert data.test is None
    assert "the test images have no boxes: they are not used" in data.notes
