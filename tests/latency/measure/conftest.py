"""Fixtures of measuring: a space, its plan, and its measurement with computed times."""

from dataclasses import dataclass

import pytest

from nas.latency.measure.plan import Plan, plan_space, plan_validation
from nas.latency.measure.rounds import Rounds
from nas.latency.measure.run import Target, measure_plan
from nas.latency.measure.samples import CORRECTION, Samples
from nas.space.file import load_space
from nas.space.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A plan, networks to validate its table, and the samples of both."""

    plan: Plan
    proof: Plan
    samples: Samples
    proof_samples: Samples


@pytest.fixture(scope="session")
def mnasnet_b0() -> Space:
    return load_space("mnasnet_b0")


@pytest.fixture(scope="session")
def b0_plan(mnasnet_b0: Space) -> Plan:
    return plan_space(mnasnet_b0)


@pytest.fixture(scope="session")
def exact(mnasnet_b0: Space, b0_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Measure `mnasnet_b0` on the fake backend, without noise."""
    folder = tmp_path_factory.mktemp("exact")
    names = [job.name for job in b0_plan.of(CORRECTION)]
    known = frozenset(name.rpartition(" ")[2] for name in names)
    proof = plan_validation(mnasnet_b0, networks=20, known=known)
    target, rounds = Target(backend="fake:noise=0"), Rounds(least=4, most=4)
    samples, _ = measure_plan(b0_plan, target, folder / "units.jsonl", rounds=rounds)
    proof_samples, _ = measure_plan(proof, target, folder / "proof.jsonl", rounds=rounds)
    return Measured(plan=b0_plan, proof=proof, samples=samples, proof_samples=proof_samples)
