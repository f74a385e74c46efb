"""Run a pipeline: the unfinished stages, one after the other, then the report."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nas.core.errors import RunError
from nas.pipeline.config import STAGES, PipelineConfig
from nas.pipeline.inputs import load_inputs
from nas.pipeline.journal import MEASURE, Done, PipelineFolder
from nas.pipeline.measured import measure_networks
from nas.pipeline.outcome import Outcome
from nas.pipeline.report import write_report
from nas.pipeline.stages import WORK, Line, Teller


def run_pipeline(config: PipelineConfig, out: Path, teller: Teller) -> Outcome:
    """Run the pipeline of `config` in the folder `out`, and return its outcome.

    Finished stages are not repeated, an interrupted one resumes, and the report is always written
    again. After an interrupt (Ctrl-C) or the error of a stage, everything so far is kept.

    Raises:
        NasError: before any work, if the settings do not fit together, or the folder is that of
            another pipeline; later, if a stage fails.
    """
    inputs = load_inputs(config)
    with closing(PipelineFolder(out, config, inputs.fingerprints)) as folder:
        line = Line(inputs=inputs, out=out, teller=teller, done=folder.done)
        for stage in STAGES:
            if getattr(config, stage) is not None:
                _do(stage, WORK[stage], line, folder)
        if config.measure_rounds:
            _do(MEASURE, measure_networks, line, folder)
        _check_files(out, line)
        outcome = Outcome(config=config, out=out, table=inputs.table, done=dict(folder.done))
        write_report(outcome, teller.say)
    return outcome


def _check_files(out: Path, line: Line) -> None:
    """Check that all files to be reported exist.

    Raises:
        RunError: if a network or a file of a finished stage is missing.
    """
    paths = [network.path for network in line.networks]
    paths += [str(file["path"]) for done in line.done.values() for file in done.files]
    gone = [path for path in paths if not (out / path).exists()]
    if gone:
        raise RunError(f"{out} has lost {', '.join(gone)}; restore them, or give another `out`")


def _do(stage: str, work: Callable[[Line], Done], line: Line, folder: PipelineFolder) -> None:
    """Do an unfinished stage, and record its result."""
    if stage in folder.done:
        line.teller.say(f"{stage}: finished before")
        return
    line.teller.say(f"{stage} ...")
    began = time.monotonic()
    done = replace(work(line), seconds=round(time.monotonic() - began, 3))
    if stage == MEASURE and not done.measured:  # it may succeed next time
        folder.done[stage] = done
        line.teller.say(f"{stage}: {'; '.join(done.notes)}")
        return
    folder.finish(stage, done)
    line.teller.say(f"{stage}: done in {done.seconds:.1f} s")
