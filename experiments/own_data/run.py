"""Find networks for own images in five ways, train each alike, and measure their latency.

python -m experiments.own_data.run [--data cifar10_part] [--limits 0.15 0.25 0.4] [--seeds 3]

Everything is in `--runs`, where the same command resumes, also with more seeds, data or limits.
result.yaml and accuracy.png are written anew after every training; `--read` only writes them.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from experiments.own_data import finding, report
from experiments.own_data.finding import HERE, TABLE, Setting, spending
from experiments.shared.folders import ROOT
from experiments.shared.small_images import NAMES, folder
from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.jsonl import Lines
from nas.latency.file import load_table
from nas.network.blocks import Architecture, to_mapping
from nas.network.cost import cost
from nas.network.zoo import load_architecture
from nas.supernet.find import load_supernet
from nas.supernet.scoring import Scorer
from nas.training.data import Data, load_data
from nas.training.evaluate import score
from nas.training.inherited import inherit_weights
from nas.training.job import Options
from nas.training.recipe_files import find_recipe
from nas.training.recipes import adapt
from nas.training.run import train

Record = Mapping[str, Any]
FIRST = 1
"""The first seed of the trainings that count: the short trainings of a search have 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A training: of a network that was found, with a seed, from its own or shared weights."""

    found: Record
    seed: int
    inherits: bool = False

    @property
    def key(self) -> Record:
        """What tells it from others."""
        own = {name: self.found[name] for name in ("data", "limit_ms", "way", "number")}
        return {**own, "seed": self.seed, "inherits": self.inherits}


class Bench:
    """The records of one output folder."""

    def __init__(self, given: argparse.Namespace, lines: Lines) -> None:
        """Read and append `lines`."""
        self.given, self.lines, self.known = given, lines, list(lines.records)

    def find(self, name: str, ms: float, setting: Setting) -> None:
        """Find the networks within `ms` in every way that is not known yet."""
        costs = self._once({"data": name, "what": "supernet"}, finding.trained_supernet, setting)
        self._search(name, ms, "supernet", lambda: [finding.by_supernet(setting, ms)])
        self._search(name, ms, "predictor", lambda: [finding.by_predictor(setting, ms)])
        self._search(name, ms, "zoo", lambda: [*finding.of_zoo(ms)])
        self._search(name, ms, "random", lambda: [*finding.random_ones(ms, self.given.random)])
        scored = self._of(data=name, limit_ms=ms, way="supernet", number=0)[0]["cpu_seconds"]
        seconds = costs / len(self.given.limits) + scored
        trained = list[float]()

        def by_proxy() -> list[Architecture]:
            found, spent = finding.by_proxy(setting, ms, seconds)
            trained.append(spent)
            return [found]

        self._search(name, ms, "proxy", by_proxy, trained)

    def train(self, task: Task, data: Data, setting: Setting) -> None:
        """Do a training that is not known yet."""
        if self._of(**task.key):
            return
        arch, spent = load_architecture(self.given.runs / task.found["file"]), list[float]()
        with spending(spent):
            top1 = _trained(arch, data, setting, task)
        self._add({**task.key, "top1": round(top1, 4), "cpu_seconds": spent[0]})

    def networks(self, name: str, ms: float) -> list[Record]:
        """Return the records of the networks found."""
        return [line for line in self._of(data=name, limit_ms=ms) if "file" in line]

    def _search(
        self,
        name: str,
        ms: float,
        way: str,
        search: Callable[[], list[Architecture]],
        elsewhere: Sequence[float] = (),
    ) -> None:
        """Find and store; `elsewhere` gets the seconds that worker processes took."""
        key = {"data": name, "limit_ms": ms, "way": way}
        if self._of(**key):
            return
        spent = list[float]()
        with spending(spent):
            archs = search()
        for number, arch in enumerate(archs):
            file = f"networks/{name}-{ms:g}-{way}-{number}.yaml"
            write_text(self.given.runs / file, to_yaml(to_mapping(arch)))
            facts = {"table_ms": load_table(TABLE).predict(arch).ms, "macs": cost(arch).macs}
            share = round((spent[0] + sum(elsewhere)) / len(archs), 2)
            self._add(
                {**key, "number": number, "file": file, "name": arch.name, **facts}
                | {"cpu_seconds": share}
            )

    def _once(self, key: Record, do: Callable[[Setting], Any], setting: Setting) -> float:
        if not self._of(**key):
            spent = list[float]()
            with spending(spent):
                do(setting)
            self._add({**key, "cpu_seconds": spent[0]})
        return float(self._of(**key)[0]["cpu_seconds"])

    def _of(self, **key: Any) -> list[Record]:
        return [one for one in self.known if all(one.get(k) == v for k, v in key.items())]

    def _add(self, record: Record) -> None:
        self.lines.append(record)
        self.known.append(record)
        print(" ".join(f"{k}={v}" for k, v in record.items() if k != "file"), flush=True)
        report.write(self.known, self.given.to, self.given.runs)


def _trained(arch: Architecture, data: Data, setting: Setting, task: Task) -> float:
    recipe = adapt(find_recipe("auto"), epochs=setting.epochs)
    options = Options()
    if task.inherits:
        relative = Scorer(load_supernet(str(setting.runs / "supernet")), data).checkpoint(arch)
        begun = inherit_weights(relative, arch, data, seed=task.seed)
        options = replace(options, weights=begun.weights, normalisation=begun.normalisation)
        arch = begun.arch
    trained = train(arch, data, recipe, seed=task.seed, options=options)
    if data.test is None:
        raise SystemExit(f"{data.name} has no images to report")
    own = data
    if options.normalisation:
        own = replace(data, mean=options.normalisation[0], deviation=options.normalisation[1])
    return score(trained.model, data.test, own, side=trained.arch.resolution).top1


def tasks(networks: list[Record], seeds: int) -> list[Task]:
    """Return the trainings in their order: all with one seed, then the chosen ones with others.

    Random networks, and those of the zoo that are not the nearest to the limit, are trained once.
    """
    once = [one for one in networks if one["way"] == "random" or _is_other(one)]
    chosen = [one for one in networks if one not in once]
    shared = [one for one in networks if one["way"] == "supernet"]
    last = FIRST + seeds
    plain = [Task(found=one, seed=seed) for seed in range(FIRST, last) for one in chosen]
    return [
        *plain[: len(chosen)],
        *(Task(found=one, seed=FIRST) for one in once),
        *plain[len(chosen) :],
        *(Task(found=o, seed=s, inherits=True) for s in range(FIRST, last) for o in shared),
    ]


def _is_other(one: Record) -> bool:
    return bool(one["way"] == "zoo" and one["number"])


def _all(bench: Bench, given: argparse.Namespace) -> None:
    for name in given.data:
        made = folder(name, given.runs, tuple(given.images), given.fashion)
        setting = Setting(
            data=f"imagefolder:{made}",
            runs=given.runs / name,
            epochs=given.epochs,
            supernet_epochs=given.supernet_epochs,
            scored=given.scored,
        )
        data = load_data(setting.data)
        for ms in given.limits:
            bench.find(name, ms, setting)
            for task in tasks(bench.networks(name, ms), given.seeds):
                bench.train(task, data, setting)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=NAMES, default=["cifar10_part"])
    parser.add_argument("--fashion", type=Path, help="the folder with Fashion-MNIST's files")
    parser.add_argument("--limits", nargs="+", type=float, default=[0.15, 0.25, 0.4], help="in ms")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--random", type=int, default=5, help="networks of equal latency")
    parser.add_argument(
        "--images", nargs=3, type=int, default=[2000, 500, 2000],
        help="to train on, to choose by, to report",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--supernet-epochs", type=int, default=16)
    parser.add_argument("--scored", type=int, default=60, help="networks by shared weights")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "own_data")
    parser.add_argument("--to", type=Path, default=HERE, help="where the results go")
    parser.add_argument("--measure", action="store_true", help="measure the latencies found")
    parser.add_argument("--read", action="store_true", help="train nothing")
    return parser


def main() -> None:
    """Do what is missing, and write what there is."""
    given = _parser().parse_args()
    torch.set_num_threads(1)
    given.runs.mkdir(parents=True, exist_ok=True)
    given.to.mkdir(parents=True, exist_ok=True)
    with closing(Lines(given.runs / "records.jsonl", writer="another run")) as lines:
        bench = Bench(given, lines)
        if given.measure:
            report.measure(bench.known, given.runs)
        elif not given.read:
            _all(bench, given)
        report.write(bench.known, given.to, given.runs)


if __name__ == "__main__":
    main()
