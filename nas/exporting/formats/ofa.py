"""Once-for-All's description of the network (net.config), with run.config beside it."""

from nas.core.data import to_json
from nas.exporting.formats import Exporter, FileExporter
from nas.exporting.ofa import net_config, run_config
from nas.network.ofa import run_config_path


def create() -> Exporter:
    """Return the exporter; `load_architecture` reads its files back.

    They hold all but the rate of dropping residual branches. The second file is X.run.json for
    X.json, and run.config for net.config.
    """
    return FileExporter(
        suffix=".json",
        content=lambda arch, *_: to_json(net_config(arch)).encode(),
        holds_weights=False,
        beside=lambda arch, path: {run_config_path(path): to_json(run_config(arch)).encode()},
    )
