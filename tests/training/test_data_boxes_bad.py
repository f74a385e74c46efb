"""Wrong annotations: each is refused in one line that says where, and what to do."""

import json
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("PIL")

from annotated import SCENES, Scene, coco, draw, voc, write_coco, write_voc, write_yolo
from readers.mutate import MUTATIONS, damaged, misread

from nas.core.errors import NasError
from nas.training.data import load_data
from nas.training.datasets._coco_json import parse as parse_coco
from nas.training.datasets._voc_xml import parse as parse_voc
from nas.training.datasets._yolo_text import lines_of, parse_index

pytestmark = pytest.mark.torch

ENTITIES = (
    '<!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghi"))
    + "]><annotation>&i;</annotation>"
)  # fmt: skip


def _refused(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message) as caught:
        load_data(text)
    assert "\n" not in str(caught.value)


def _xml(**changed: str) -> str:
    text = voc(SCENES[0])
    for old, new in changed.items():
        text = text.replace({"name": "cat", "left": ">5<", "end": "</bndbox>"}[old], new)
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object>\n", r"a\.xml, line 3: no element found"),
        ("<annotation>\n<a></b>\n", r"a\.xml, line 2: mismatched tag"),
        ("", r"a\.xml, line 1: no element found"),
        ("<html/>", r"a\.xml: expected <annotation>, found <'html'>"),
        (ENTITIES, r"a\.xml: it has a DOCTYPE, which annotations do not need"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "it has a DOCTYPE"),
        (_xml(name=""), r"a\.xml: object 1 has no name"),
        (_xml(left=">five<"), r"a\.xml: object 1, xmin: expected a number, found 'five'"),
        (_xml(left=">nan<"), "object 1, xmin: expected a number, found 'nan'"),
        (_xml(left=">1e400<"), "object 1, xmin: expected a number"),
        ("<annotation><object><name>a</name></object></annotation>", r"1 \('a'\) has no bndbox"),
    ],
)
def test_malformed_xml_names_its_place(text: str, message: str, tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    (root / "Annotations" / "a.xml").write_text(text)
    _refused(f"voc:{root}", message)


def test_xml_may_have_any_encoding_but_no_doctype_in_any(tmp_path: Path) -> None:
    assert parse_voc(voc(SCENES[0]).encode("utf-16"), "x").things[0].name == "cat"
    with pytest.raises(NasError, match="DOCTYPE"):
        parse_voc(ENTITIES.encode("utf-16"), "x")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 x 0.1", "line 2: expected a number, found 'x'"),
        ("0 0.5 0.5 nan 0.1", "line 2: expected a number, found 'nan'"),
        ("cat 0.5 0.5 0.1 0.1", "line 2: expected a number, found 'cat'"),
        ("0.5 0.5 0.5 0.1 0.1", "line 2: expected a class number, found '0.5'"),
        ("-1 0.5 0.5 0.1 0.1", "line 2: expected a class number"),
        ("0 0.5 0.5 0.1", "line 2: found 4 fields; expected a class and centre, width and"),
        ("0 0.5 0.5 0.1 0.1 0.9", "line 2: found 6 fields"),
        ("\x00", "line 2: expected a number"),
    ],
)
def test_malformed_text_names_its_line(line: str, message: str, tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels" / "train" / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    _refused(f"yolo:{root}", rf"a\.txt, {message}")


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels" / "train" / "a.txt").write_bytes(b"0 0.5 0.5 0.1 0.1\n\xff\n")
    _refused(f"yolo:{root}", r"a\.txt, line 2: this is no text in UTF-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train", r"data\.yaml has no names of classes; expected names: \[cat, dog"),
        ("train: images/train\nnc: 2\nnames: []", "has no names of classes"),
        ("names: [a, b]", r"data\.yaml has no train; expected train: images/train"),
        ("train: images/train\nnames: [a, a]", "names has 'a' twice"),
        ("train: images/train\nnc: 3\nnames: [a, b]", "nc is 3, but there are 2 names: a, b"),
        ("train: images/train\nnames: {x: a}", "names has the key 'x'; expected class numbers"),
        ("train: images/train\nnames: [[a], b]", r"class 0 is \['a'\]; expected its name"),
        ("train: 7\nnames: [a, b]", "train: expected a folder or a list of files, found 7"),
        ("train: nowhere\nnames: [a, b]", r"found no images in nowhere; looked into .*nowhere"),
        ("train: images/train\nnames: [a, b]\n  x", r"data\.yaml, line \d"),
        ("[a]", r"data\.yaml: expected a mapping with names and train"),
        ("", r"data\.yaml: expected a mapping"),
    ],
)
def test_a_wrong_data_yaml_says_what_is_expected(text: str, message: str, tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "data.yaml").write_text(text)
    _refused(f"yolo:{root}", message)


def test_a_folder_without_data_yaml_is_refused(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "data.yaml").rename(root / "one.yml")
    assert load_data(f"yolo:{root}").classes == ("cat", "dog")  # the only one
    (root / "two.yml").write_text("")
    _refused(f"yolo:{root}", r"found one\.yml, two\.yml; name the one to be used")
    assert len(load_data(f"yolo:{root / 'one.yml'}").train) == 4
    (root / "one.yml").unlink()
    (root / "two.yml").unlink()
    _refused(f"yolo:{root}", "found no data.yaml; expected one with names")


def test_outlines_become_boxes_and_key_points_are_left_out(tmp_path: Path) -> None:
    outline = b"1 0.1 0.2 0.5 0.1 0.4 0.6\n\n0 0.5 0.5 0.2 0.4"
    assert [rest for _, *rest in lines_of(outline, "x")] == [
        [1, (0.1, 0.1, 0.5, 0.6)],
        [0, pytest.approx((0.4, 0.3, 0.6, 0.7))],
    ]
    points = b"0 0.5 0.5 0.2 0.4 0.1 0.1 2 0.9 0.9 2"
    ((_, _, corners),) = lines_of(points, "x", points=True)
    assert corners == pytest.approx((0.4, 0.3, 0.6, 0.7))
    index = parse_index(b"train: [a, b]\nvalid: c\nnames: {3: x, 1: y}\nkpt_shape: [2, 3]", "x")
    assert index.splits == {"train": ("a", "b"), "val": ("c",)}
    assert (index.names, index.points) == ({3: "x", 1: "y"}, True)


def test_the_ways_in_which_tools_name_folders(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    plain = load_data(f"yolo:{root}")
    (root / "train.txt").write_text("".join(f"./images/train/{name}.png\n" for name in "abcd"))
    for lines in (
        "path: /content/elsewhere\ntrain: ../images/train\nval: ../images/val",
        "train: train.txt\nval: [images/val]",
        f"path: {root}\ntrain: images/train\nval: images/val\ntest:",
    ):
        (root / "data.yaml").write_text(f"{lines}\nnames: {{0: cat, 1: dog}}\n")
        data = load_data(f"yolo:{root / 'data.yaml'}")
        assert (len(data.train), len(data.val), data.classes) == (4, 1, ("cat", "dog"))
        assert (data.train.labels.corners == plain.train.labels.corners).all()


def test_pixels_in_texts_and_fractions_in_files_of_pixels_are_refused(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "yolo")
    for name in "abd":
        (root / "labels" / "train" / f"{name}.txt").write_text("0 15 7 20 10\n1 20 5 9 9\n")
    _refused(
        f"yolo:{root}", r"6 of 8 boxes look like pixels: they reach to 25 in .*expected centre"
    )
    root = write_voc(tmp_path / "voc")
    for scene in SCENES:
        (root / "Annotations" / f"{scene.name}.xml").write_text(
            voc(Scene(scene.name, scene.split, ((0, 0, 0, 1, 1),)))
        )
    _refused(f"voc:{root}", "all 5 boxes lie between 0 and 1: they look like fractions, but this")


def test_unknown_classes_are_counted_and_refused_where_most_are(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    notes = load_data(f"yolo:{root}").notes
    assert "skipped boxes of unknown classes (1): class 7 in labels/train/a.txt, line 2" in notes
    (root / "data.yaml").write_text("train: images/train\nnames: {5: x}\n")
    _refused(f"yolo:{root}", "most boxes are of classes that names does not have: .*it has 5")


def test_images_without_any_texts_are_refused(tmp_path: Path) -> None:
    root = write_yolo(tmp_path)
    (root / "labels").rename(root / "elsewhere")
    _refused(f"yolo:{root}", r"none of its 5 images has a text of boxes; .*expected labels/train/a")


def _spoiled(change: Callable[[dict[str, Any]], object]) -> str:
    content = coco(SCENES)
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"all\.json, line 1: "),
        ("[]", r"all\.json: expected a list images, found list"),
        ('{\n"a": 1,\n"a": 2}', "key 'a' is given twice"),
        (_spoiled(lambda c: c.pop("annotations")), "expected a list annotations, found images"),
        (_spoiled(lambda c: c["images"].append(3)), r"images\[5\] is 3, no mapping"),
        (_spoiled(lambda c: c["images"][1].pop("id")), r"images\[1\]: expected id, a number"),
        (_spoiled(lambda c: c["images"][1].update(id=7)), r"images\[1\] has the id 7 of a\.png"),
        (_spoiled(lambda c: c["images"][0].pop("file_name")), r"images\[0\]: expected file_name"),
        (_spoiled(lambda c: c["annotations"][2].pop("bbox")), r"annotations\[2\]: expected a bbox"),
        (
            _spoiled(lambda c: c["annotations"][2].update(bbox=[1, 2, "x", 4])),
            r"annotations\[2\]\.bbox: expected a number, found 'x'",
        ),
        (_spoiled(lambda c: c["categories"][0].pop("name")), r"categories\[0\]: expected name"),
        (_spoiled(lambda c: c["categories"].clear()), "of 6 boxes 0 can be used; skipped boxes"),
        (
            _spoiled(lambda c: [i.update(file_name=f"x{i['id']}.png") for i in c["images"]]),
            r"found none of its images, such as x7\.png, in .*say where they lie with images=",
        ),
    ],
)  # fmt: skip
def test_malformed_json_names_its_place(text: str, message: str, tmp_path: Path) -> None:
    for scene in SCENES:
        draw(tmp_path / f"{scene.name}.png", scene.boxes)
    (tmp_path / "all.json").write_text(text)
    _refused(f"coco:{tmp_path / 'all.json'}", message)


def test_outlines_are_skipped_but_their_lines_are_counted(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    plain = load_data(f"coco:{root}")
    file = root / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    for entry in content["annotations"]:
        entry |= {"segmentation": [[1.5, -2e1, 3, 4], []], "keypoints": [0, 0, 0]}
    content["images"][0]["caption"] = '"segmentation": [1, 2]'
    text = json.dumps(content, indent=1)
    file.write_text(text)
    assert load_data(f"coco:{root}").fingerprint == plain.fingerprint
    line = text.count("\n") + 1
    file.write_text(text[:-1] + "]")
    _refused(f"coco:{root}", rf"instances_train2017\.json, line {line}: ")


def test_one_file_of_annotations_is_enough(tmp_path: Path) -> None:
    for scene in SCENES:
        draw(tmp_path / "images" / f"{scene.name}.png", scene.boxes)
    content = coco(SCENES)
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"][3]["image_id"] = 99
    content["annotations"][4]["category_id"] = 99
    (tmp_path / "all.json").write_text(json.dumps(content))
    for where in (tmp_path, tmp_path / "all.json"):
        data = load_data(f"coco:{where},val=0.4")
        assert (len(data.train), len(data.val)) == (3, 2)
        assert data.notes[:3] == (
            "skipped boxes of images that are not listed (1): 99",
            "skipped boxes of unknown categories (1): 99",
            "crowds and difficult objects (1) are neither learned nor missed",
        )


def test_corners_in_place_of_sizes_are_suspected(tmp_path: Path) -> None:
    boxes = ((0, 20, 10, 35, 18), (1, 25, 8, 39, 19))
    scenes = [Scene(name, "train", boxes) for name in "abc"]
    root = write_coco(tmp_path, scenes)
    plain = load_data(f"coco:{root}")
    file = root / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    for entry in content["annotations"]:
        left, top, width, height = entry["bbox"]
        entry["bbox"] = [left, top, left + width, top + height]
    file.write_text(json.dumps(content))
    _refused(f"coco:{root}", "6 of 6 boxes leave their images .*say so with boxes=xyxy")
    data = load_data(f"coco:{root},boxes=xyxy")
    assert (data.train.labels.corners == plain.train.labels.corners).all()
    _refused(f"coco:{root},boxes=yxyx", "boxes must be xywh or xyxy, not 'yxyx'")


def test_files_by_the_names_that_tools_give_them(tmp_path: Path) -> None:
    for scene in SCENES:
        split = {"train": "train", "val": "valid"}[scene.split]
        draw(tmp_path / split / f"{scene.name}.png", scene.boxes)
    for split, scenes in (("train", SCENES[:4]), ("valid", SCENES[4:])):
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(coco(scenes)))
    data = load_data(f"coco:{tmp_path}")
    assert (len(data.train), len(data.val)) == (4, 1)
    (tmp_path / "train.json").write_text("{}")
    _refused(
        f"coco:{tmp_path}", r"found train\.json and train/_annotations.* for train; name the o"
    )
    (tmp_path / "train.json").unlink()
    (tmp_path / "train" / "_annotations.coco.json").rename(tmp_path / "test.json")
    _refused(f"coco:{tmp_path}", "but no annotations for training; expected annotations/instances")


@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_paths_to_nothing_and_to_other_things(kind: str, tmp_path: Path) -> None:
    _refused(f"{kind}:{tmp_path / 'nowhere'}", "nowhere: no such file or folder")
    expected = {
        "coco": "found no JSON file",
        "voc": "found no XML files",
        "yolo": "found no data.y",
    }
    _refused(f"{kind}:{tmp_path}", expected[kind])
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 and nothing more")
    _refused(f"{kind}:{tmp_path / 'a.zip'}", "a.zip")


def test_xml_files_beside_their_images_are_found(tmp_path: Path) -> None:
    for scene in SCENES:
        split = {"train": "train", "val": "valid"}[scene.split]
        draw(tmp_path / split / f"{scene.name}.png", scene.boxes)
        (tmp_path / split / f"{scene.name}.xml").write_text(voc(scene))
    data = load_data(f"voc:{tmp_path}")
    assert (len(data.train), len(data.val)) == (4, 1)


def test_lists_of_splits_may_be_incomplete(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    lists = root / "ImageSets" / "Main"
    (lists / "train.txt").rename(lists / "trainval.txt")
    (lists / "val.txt").rename(lists / "test.txt")
    data = load_data(f"voc:{root},val=0.5")
    assert (len(data.train), len(data.val)) == (2, 2)
    assert data.test is not None
    (lists / "trainval.txt").unlink()
    _refused(f"voc:{root}", r"found test but no train\.txt")


def test_damaged_files_are_read_or_refused_in_one_line() -> None:
    draw_random = random.Random(0)
    xml, text = voc(SCENES[1]).encode(), b"0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.3\n"
    index, content = b"train: images/train\nval: x\nnames:\n  0: cat\n  1: dog\n", coco(SCENES)
    for _ in range(2 * MUTATIONS):
        for read in (
            lambda: parse_voc(damaged(xml, draw_random), "x"),
            lambda: list(lines_of(damaged(text, draw_random), "x")),
            lambda: parse_index(damaged(index, draw_random), "x"),
            lambda: parse_coco(damaged(json.dumps(content).encode(), draw_random), "x", "xywh"),
            lambda: parse_coco(
                json.dumps(misread(content, draw_random)).encode(errors="replace"), "x", "xywh"
            ),
        ):
            with suppress(NasError):  # whose messages are short and printable
                read()


def test_damaged_zips_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "data")
    path = Path(shutil.make_archive(str(root), "zip", tmp_path, "data"))
    content, draw_random = path.read_bytes(), random.Random(0)
    for _ in range(MUTATIONS // 4):
        path.write_bytes(damaged(content, draw_random))
        with suppress(NasError):
            load_data(f"voc:{path},check=header")
