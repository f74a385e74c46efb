"""Run a pipeline: the unfinished stages, one after the other, then the report."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nas.core.errors import RunError
from nas.pipeline.config import STAGES, PipelineConfig
from nas.pipeline.inputs import load_inputs
from nas.pipeline.journal import MEASURE, PipelineFolder, StageResult
from nas.pipeline.measured import measure_networks
from nas.pipeline.report import write_report
from nas.pipeline.result import PipelineResult
from nas.pipeline.stages import STAGE_FUNCTIONS, PipelineState, Reporter


def run_pipeline(config: PipelineConfig, out: Path, reporter: Reporter) -> PipelineResult:
    """Run the pipeline of `config` in the folder `out`, and return its result.

    Finished stages are not repeated, an interrupted one resumes, and the report is always written
    again. After an interrupt (Ctrl-C) or the error of a stage, everything so far is kept.

    Raises:
        NasError: before any work, if the settings do not fit together, or the folder is that of
            another pipeline; later, if a stage fails.
    """
    inputs = load_inputs(config)
    with closing(PipelineFolder(out, config, inputs.fingerprints)) as folder:
        state = PipelineState(inputs=inputs, out=out, reporter=reporter, results=folder.results)
        for stage in STAGES:
            if getattr(config, stage) is not None:
                _run_stage(stage, STAGE_FUNCTIONS[stage], state, folder)
        if config.measure_rounds:
            _run_stage(MEASURE, measure_networks, state, folder)
        _check_files(out, state)
        result = PipelineResult(
            config=config, out=out, table=inputs.table, results=dict(folder.results)
        )
        write_report(result, reporter.say)
    return result


def _check_files(out: Path, state: PipelineState) -> None:
    """Check that all files to be reported exist.

    Raises:
        RunError: if a network or a file of a finished stage is missing.
    """
    paths = [network.path for network in state.networks]
    paths += [str(file["path"]) for result in state.results.values() for file in result.files]
    gone = [path for path in paths if not (out / path).exists()]
    if gone:
        raise RunError(f"{out} has lost {', '.join(gone)}; restore them, or give another `out`")


def _run_stage(
    stage: str,
    work: Callable[[PipelineState], StageResult],
    state: PipelineState,
    folder: PipelineFolder,
) -> None:
    """Do an unfinished stage, and record its result."""
    if stage in folder.results:
        state.reporter.say(f"{stage}: finished before")
        return
    state.reporter.say(f"{stage} ...")
    began = time.monotonic()
    result = replace(work(state), seconds=round(time.monotonic() - began, 3))
    if stage == MEASURE and not result.measured:  # it may succeed next time
        folder.results[stage] = result
        state.reporter.say(f"{stage}: {'; '.join(result.notes)}")
        return
    folder.finish(stage, result)
    state.reporter.say(f"{stage}: done in {result.seconds:.1f} s")
