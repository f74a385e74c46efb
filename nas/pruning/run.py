"""Run NetAdapt: fine-tune the proposals of each round briefly, and the result for longer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.core.data import to_yaml
from nas.core.files import write_text
from nas.core.progress import Report, quiet
from nas.core.workers.runner import Failure, InProcess, Runner, outcomes
from nas.network.blocks import Architecture, to_mapping
from nas.network.checkpoint import SUFFIX, load_checkpoint
from nas.network.cost import cost
from nas.network.lineage import with_lineage
from nas.network.weights import Weights
from nas.pruning.folder import TUNING, NetAdaptFolder
from nas.pruning.job import PruningJob, check_job, identity
from nas.pruning.netadapt import Point, Result, Round, Tried, choose, cuts_of
from nas.pruning.proposals import Proposal, latency_meter, proposals, shortlist
from nas.pruning.slicing import Effects, importance, sliced, strongest
from nas.pruning.taylor import effects
from nas.training.data import Images
from nas.training.fine_tune import (
    FineTuningSetup,
    FineTuningTask,
    accuracy,
    fine_tune,
    held_out,
    save,
)
from nas.training.job import Options
from nas.training.recipes import adapt
from nas.training.run import ShortTrainingResult, complete_training, fit_recipe, plan
from nas.training.steps import trainable

_NOTHING_LEFT = "nothing was left to cut before the target was reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Callbacks for every finished round, and for the progress within a round."""

    round: Callable[[Round], None] = quiet
    update: Report = quiet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    arch: Architecture
    weights: Weights
    point: Point
    effects: Effects | None = None


def netadapt(
    job: PruningJob, out: Path, *, runner: Runner | None = None, listener: Listener | None = None
) -> Result:
    """Prune a trained network until a table predicts the target, and return the result.

    Everything is stored in `out`, where an interrupted run resumes with the missing proposals. The
    proposals of a round are fine-tuned by `runner`, by default one by one. The final network is
    `final.safetensors` in `out`, with its architecture in `final.yaml`.

    Raises:
        NasError: if the target cannot be reached, table, weights or data do not fit the network,
            the folder holds another run, or all proposals of a round fail.
    """
    check_job(job)
    settings = with_lineage(identity(job), job.lineage)
    with closing(NetAdaptFolder(out, settings)) as folder:
        run = _Run(job, folder, runner or InProcess(), listener or Listener())
        return run.result()


class _Run:
    """A run in progress."""

    def __init__(
        self, job: PruningJob, folder: NetAdaptFolder, runner: Runner, listener: Listener
    ) -> None:
        self.folder, self.runner, self.listener = folder, runner, listener
        self.settings, self.start = job.settings, job.start
        own = replace(job.data, mean=job.start.data.mean, deviation=job.start.data.deviation)
        self.data = own
        self.recipe = job.recipe
        short = adapt(job.recipe, epochs=job.settings.epochs or 1)  # `auto` is set for this length
        self.setup = FineTuningSetup(
            data=held_out(own, job.settings.held_out, seed=job.settings.seed),
            recipe=fit_recipe(short if job.recipe.auto else job.recipe, own),
            epochs=job.settings.epochs,
            steps=job.settings.steps,
            seed=job.settings.seed,
            device=job.device,
        )
        self.latency = latency_meter(job.table)
        self.cost = job.settings.meter(job.table)
        self.cuts = cuts_of(job.start.arch, job.settings)

    def result(self) -> Result:
        """Return the result of the run, which may have finished earlier."""
        rounds = []
        for one in self._rounds():
            self.listener.round(one)
            rounds.append(one)
        last = self._state(len(rounds))
        if self.folder.end is None:
            self.folder.log_end(self._ended(rounds, last))
        return _result(self.start.arch, rounds, last.arch, self.folder.end or {})

    def _rounds(self) -> Iterator[Round]:
        number = 1
        while self.latency((now := self._state(number - 1)).arch) > self.settings.target_ms:
            one = self._known_round(number) or self._round(number, now)
            if one is None:
                return
            yield one
            number += 1

    def _state(self, number: int) -> _State:
        """Return the network after a round; round 0 means the given network."""
        if number:
            found = load_checkpoint(str(self.folder.checkpoint(number)))
            arch = replace(found.arch, name=self.start.arch.name)
            point = self._point(found.arch, held_out=found.top1)
            return _State(arch=arch, weights=found.weights, point=point)
        arch, weights = self.start.arch, self.start.weights
        if self.folder.start is None:
            top1 = self._score(trainable(arch, weights), self.setup.data.val)
            self.folder.log_start(self._point(arch, held_out=top1))
        assert self.folder.start is not None  # it was just logged
        return _State(arch=arch, weights=weights, point=self.folder.start)

    def _known_round(self, number: int) -> Round | None:
        """Return a round that was finished earlier, else None."""
        chosen = self.folder.chosen(number)
        if chosen is None:
            return None
        tried = self.folder.tried(number)
        return _round(number, tuple(tried.values()), list(tried).index(chosen))

    def _round(self, number: int, now: _State) -> Round | None:
        """Try the proposals of a round, and keep the best; None if there are none."""
        before = self.cost(now.arch)
        within = self.settings.within(before, round_number=number)
        found = proposals(now.arch, self.cuts, self.cost, within=within)
        if not found:
            return None
        now = replace(now, effects=self._effects(number, now))
        found = self._promising(now, found, before)
        self._try(number, now, found)
        tried = tuple(self.folder.tried(number)[proposal.group.name] for proposal in found)
        held = now.point.held_out or 0.0
        costs = [proposal.cost for proposal in found]
        chosen = choose(tried, costs, (before, held), by=self.settings.choose)
        self.folder.log_chosen(number, tried[chosen].group)
        return _round(number, tried, chosen)

    def _effects(self, number: int, now: _State) -> Effects | None:
        """Return the effect of every channel on the loss, if the settings need it."""
        if self.settings.importance != "taylor" and not self.settings.shortlist:
            return None
        return effects(self.setup, now.arch, now.weights, number=number)

    def _promising(
        self, now: _State, found: tuple[Proposal, ...], before: float
    ) -> tuple[Proposal, ...]:
        """Return the short list of proposals: those of least loss, to first order."""
        if now.effects is None or not self.settings.shortlist:
            return found
        losses = [
            np.delete(
                importance(now.weights, one.group, by="taylor", effects=now.effects),
                self._keep(now, one),
            ).sum()
            for one in found
        ]
        return shortlist(found, losses, before=before, count=self.settings.shortlist)

    def _keep(self, now: _State, one: Proposal) -> NDArray[np.int64]:
        """Return the channels that a proposal keeps in its group."""
        by = self.settings.importance
        return strongest(now.weights, one.group, one.width, by=by, effects=now.effects)

    def _try(self, number: int, now: _State, found: Sequence[Proposal]) -> None:
        """Fine-tune the remaining proposals, logging each as it finishes."""
        known = self.folder.tried(number)
        missing = [proposal for proposal in found if proposal.group.name not in known]
        tasks = (self._task(number, now, proposal) for proposal in missing)
        done = len(found) - len(missing)
        for index, outcome in outcomes(self.runner, fine_tune, self.setup, tasks):
            done += 1
            tried = self._tried(missing[index], outcome)
            self.folder.log_tried(number, tried)
            self.listener.update(done, len(found), f"round {number}, {tried.group}")

    def _task(self, number: int, now: _State, proposal: Proposal) -> FineTuningTask:
        keep = self._keep(now, proposal)
        return FineTuningTask(
            arch=proposal.arch,
            weights=sliced(now.arch, now.weights, proposal.group, keep),
            round=number,
            path=self.folder.proposal(number, proposal.group.name),
        )

    def _tried(self, proposal: Proposal, outcome: ShortTrainingResult | Failure) -> Tried:
        tried = Tried(group=proposal.group.name, was=proposal.group.width, width=proposal.width)
        if isinstance(outcome, Failure):
            return replace(tried, error=outcome.text)
        point = self._point(proposal.arch, held_out=outcome.value)
        return replace(tried, point=point, seconds=round(outcome.seconds, 3))

    def _point(self, arch: Architecture, *, held_out: float | None) -> Point:
        counted = cost(arch)
        return Point(
            latency_ms=self.latency(arch),
            macs=counted.macs,
            params=counted.params,
            held_out=held_out,
        )

    def _score(self, model: nn.Module, images: Images) -> float:
        return accuracy(self.setup, model, images, self.start.arch)

    def _judged(self, point: Point, model: nn.Module, *, test: bool) -> Point:
        """Return `point` with the accuracies on images that pruning never sees."""
        has_test = test and self.data.test is not None
        return replace(
            point,
            top1=self._score(model, self.data.val),
            test=self._score(model, self.data.test) if has_test and self.data.test else None,
        )

    def _ended(self, rounds: Sequence[Round], last: _State) -> Mapping[str, Any]:
        """Fine-tune the final network for longer, save it, and score all networks of the run."""
        model, held = self._tuned(last)
        best = self._judged(replace(last.point, held_out=held), model, test=True)
        save(self.folder.final(SUFFIX), model, last.arch, self.data, best.top1)
        write_text(self.folder.final(".yaml"), to_yaml(to_mapping(last.arch)))
        first = self._state(0)
        start = self._judged(first.point, trainable(first.arch, first.weights), test=True)
        points = []
        for one in rounds:
            state = self._state(one.number)
            points.append(self._judged(one.point, trainable(state.arch, state.weights), test=False))
        missed = last.point.latency_ms > self.settings.target_ms
        return {
            "start": asdict(start),
            "rounds": [asdict(point) for point in points],
            "best": asdict(best),
            "note": _NOTHING_LEFT if missed else "",
        }

    def _tuned(self, last: _State) -> tuple[nn.Module, float | None]:
        """Return the final network after its fine-tuning, and its hold-out accuracy."""
        if not self.settings.final_epochs:
            return trainable(last.arch, last.weights), last.point.held_out
        recipe = self.recipe
        job = plan(
            last.arch,
            self.setup.data,
            adapt(recipe, epochs=self.settings.final_epochs, accumulate=recipe.accumulate),
            seed=self.settings.seed,
            options=Options(
                device=self.setup.device, weights=last.weights, report=self.listener.update
            ),
        )
        trained = complete_training(job, self.folder.path / TUNING)
        return trained.model, trained.value


def _round(number: int, tried: tuple[Tried, ...], chosen: int) -> Round:
    point = tried[chosen].point
    assert point is not None  # failed proposals are never chosen
    return Round(number=number, tried=tried, chosen=chosen, point=point)


def _result(
    arch: Architecture, rounds: Sequence[Round], best: Architecture, end: Mapping[str, Any]
) -> Result:
    points = [Point(**point) for point in end["rounds"]]
    return Result(
        arch=arch,
        start=Point(**end["start"]),
        rounds=tuple(replace(r, point=p) for r, p in zip(rounds, points, strict=True)),
        best_arch=best,
        best=Point(**end["best"]),
        note=end["note"],
    )
