"""The page of a quantization, read from the folder that `nas quantize` wrote."""

from nas.core.data import read_mapping
from nas.core.run_folder import reporting_damage
from nas.core.storage import Place
from nas.report.charts import COLOURS, bars
from nas.report.page import Page, Part

QUANTIZATION = "quantization.json"
"""The file that such a folder is known by."""
MAX_LAYERS = 120


def int8_page(place: Place) -> Page:
    """Return the page of the quantized network in a folder.

    Raises:
        NasError: if there is none, or its file is damaged.
    """
    with place.reading(QUANTIZATION) as here, reporting_damage(here / QUANTIZATION):
        found = read_mapping(here / QUANTIZATION)
        metric, plain, whole = str(found["metric"]), found["float"], found["int8"]
        scores = [float(side[metric]) for side in (plain, whole)]
        times = [float(side["latency_ms"]) for side in (plain, whole)]
        noise = {str(name): float(value) for name, value in found["noise"].items()}
        floats = {str(name) for name in found["floats"]}
        backend, images = str(found.get("backend", "onnxruntime")), int(found["images"])
        title = f"{found.get('trained', 'A network')} in int8: {place}"
        ranges = f"Ranges by {found['calibration']} of {images:,} images."
    change = (f"{100 * (scores[1] - scores[0]):+.2f}", f"{100 * (times[1] / times[0] - 1):+.0f} %")
    slowest = dict(sorted(noise.items(), key=lambda item: -item[1])[:MAX_LAYERS])
    return Page(
        title=title,
        facts={
            f"{metric}, float": f"{100 * scores[0]:.2f} %",
            f"{metric}, int8": f"{100 * scores[1]:.2f} %",
            "latency, float": f"{times[0]:.3g} ms",
            "latency, int8": f"{times[1]:.3g} ms",
            "runtime": backend,
        },
        parts=(
            Part(
                heading="Float against int8",
                texts=(f"{ranges} Measured on one thread where nas quantize ran.",),
                headings=("graph", f"{metric} %", "ms"),
                rows=(
                    ("float", f"{100 * scores[0]:.2f}", f"{times[0]:.3f}"),
                    ("int8", f"{100 * scores[1]:.2f}", f"{times[1]:.3f}"),
                    ("change", *change),
                ),
            ),
            Part(
                heading="Sensitivity, layer by layer",
                charts=(
                    bars(
                        slowest,
                        x="squared error of the outputs over their square, one layer in int8",
                        colours=[COLOURS[1 if name in floats else 0] for name in slowest],
                        text=f"{len(noise)} layers, the most sensitive first"
                        + (f"; the {len(floats)} in orange stay in float." if floats else "."),
                    ),
                )
                if slowest
                else (),
            ),
        ),
    )
