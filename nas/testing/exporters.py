"""What every exporter keeps to: equal files of one name each time, or an error of one line."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from nas.core.errors import NasError
from nas.core.plugins import Plugin, create
from nas.exporting.formats import Exporter
from nas.network.blocks import Architecture
from nas.network.lowering import lower
from nas.network.weights import Weights, random_weights
from nas.network.zoo import load_architecture


def make(text: str) -> Exporter:
    """Return the exporter that `text` names."""
    made: Exporter = create("exporters", Plugin.parse(text))
    return made


@cache
def network() -> Architecture:
    """Return the network that is exported, of one of the commonest families."""
    return load_architecture("mobilenet_v3_small@0.75-96")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder; a folder in it counts as one of its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [(path.relative_to(folder).parts[0], path.read_bytes()) for path in files]
    return {name: b"".join(c for n, c in parts if n == name) for name, _ in parts}


def _written(text: str, weights: Weights | None = None) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        exporter = make(text)
        exporter(network(), Path(folder) / f"arch{exporter.suffix}", weights)
        return contents(Path(folder))


def _refused(call: Callable[[], None], what: str) -> None:
    """Check that `call` raises a `NasError` of one line."""
    said = ""
    try:
        call()
    except NasError as error:
        said = str(error)
    assert said, f"{what} raised no NasError"
    assert "\n" not in said, f"the error for {what} has several lines: {said}"


def suffix_begins_with_a_dot(text: str) -> None:
    """The suffix of its files begins with a dot."""
    suffix = make(text).suffix
    assert suffix[:1] == ".", f"suffix is {suffix!r}"


def files_of_one_name_are_written(text: str) -> None:
    """It writes the file at the path, makes its folder, and names others after it."""
    with TemporaryDirectory() as folder:
        exporter = make(text)
        path = Path(folder) / "new" / f"arch{exporter.suffix}"
        exporter(network(), path)
        found = contents(path.parent)
    assert path.name in found, f"{path.name} is missing; there are {', '.join(found) or 'no files'}"
    strange = [name for name in found if not name.startswith("arch.")]
    assert not strange, f"{', '.join(strange)} does not begin with the name that was asked for"


def equal_architectures_give_equal_files(text: str) -> None:
    """The same architecture gives the same bytes, over files that are there too."""
    first, second = _written(text), _written(text)
    assert first == second, "two exports of one architecture differ"
    with TemporaryDirectory() as folder:
        exporter = make(text)
        for _ in range(2):
            exporter(network(), Path(folder) / f"arch{exporter.suffix}")
        assert contents(Path(folder)) == first, "the second export to one path differs"


def a_path_that_cannot_be_written_is_refused(text: str) -> None:
    """A path that cannot be written is an error of one line, and nothing is left."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "mine.txt").touch()  # a folder that is no earlier export
        _refused(lambda: make(text)(network(), Path(folder)), "a path that is a folder")
        found = [path.name for path in Path(folder).iterdir()]
    assert found == ["mine.txt"], f"the folder holds {', '.join(found)} afterwards"


def weights_are_held_or_refused(text: str) -> None:
    """It writes the weights that it is given, or refuses them where the format has no room."""
    weights = [random_weights(lower(network()), seed=seed) for seed in (5, 6)]
    if not make(text).holds_weights:
        _refused(lambda: _drop(_written(text, weights[0])), "weights, where holds_weights is false")
        return
    one, other = (_written(text, given) for given in weights)
    assert one != other, "other weights give the same files"


def weights_that_do_not_fit_are_refused(text: str) -> None:
    """Weights of another network are an error of one line, and nothing is left."""
    with TemporaryDirectory() as folder:
        _refused(lambda: make(text)(network(), Path(folder) / "x", {}), "weights without a tensor")
        found = [path.name for path in Path(folder).iterdir()]
    assert not found, f"it left {', '.join(found)}"


def metadata_is_accepted(text: str) -> None:
    """It accepts metadata, which a format without weights leaves out."""
    with TemporaryDirectory() as folder:
        exporter = make(text)
        path = Path(folder) / f"arch{exporter.suffix}"
        exporter(network(), path, metadata={"classes": '["cat", "dog"]'})
        assert contents(Path(folder))


def _drop(_: object) -> None:
    """Return nothing."""


CHECKS = (
    suffix_begins_with_a_dot,
    files_of_one_name_are_written,
    equal_architectures_give_equal_files,
    a_path_that_cannot_be_written_is_refused,
    weights_are_held_or_refused,
    weights_that_do_not_fit_are_refused,
    metadata_is_accepted,
)
"""In the order in which they are run."""
