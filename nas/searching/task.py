"""The task of a search, and the head where that is detection."""

from nas.accuracy.predictor import METRICS
from nas.core import plugins
from nas.core.errors import BadValue
from nas.network.detectors import KIND
from nas.space.heads import Head
from nas.space.space import Space

CLASSIFICATION, DETECTION = TASKS = ("classification", "detection")


def head_of(text: str, data: str = "") -> Head:
    """Return the head of a search, by default for the classes of the `data` to train on.

    Raises:
        NasError: if there is no such head or no such data, or these have no boxes.
    """
    head = Head.parse(text)
    if not data or not plugins.takes(KIND, head.plugin.name, "classes"):
        return head
    from nas.training.data import find_source

    found = find_source(data, task=DETECTION)
    given = head.plugin.options.get("classes", str(len(found.classes)))
    if given != str(len(found.classes)):
        raise BadValue(
            f"head {head} is for {given} classes, and {data} has {len(found.classes)}; leave "
            "classes out, which then are those of the data",
            "head",
        )
    return head.with_default({"classes": given})


def searched(space: str, head: str) -> str:
    """Return what is searched, as in "mbconv", or "detectors: ssdlite on mbconv"."""
    return f"detectors: {head} on {space}" if head else space


def proxy_note(head: Head, space: Space, metric: str) -> str:
    """Return what an accuracy `metric` stands for; nothing if it is that of detectors.

    `space` is that of the settings.
    """
    if metric not in METRICS:
        return ""
    sides = head.judged(space).resolutions
    at = f"{min(sides)} to {max(sides)}" if len(sides) > 1 else str(sides[0])
    return (
        f"{metric}: ImageNet top-1 of the backbone as a classifier at {at} px, which stands in for "
        "the accuracy of the detector"
    )


def check_task(task: str, head: str) -> None:
    """Refuse a head without detection, and detection without a head.

    Raises:
        BadValue: saying which other setting is needed.
    """
    if task not in TASKS:
        raise BadValue(f"task must be {' or '.join(TASKS)}, not {task}", "task")
    if head and task != DETECTION:
        raise BadValue(
            f"`head={head}` makes detectors, and the task is {task}; search for them with "
            f"`task={DETECTION}`",
            "head",
        )
    if task == DETECTION and not head:
        known = ", ".join(plugins.available(KIND))
        raise BadValue(f"task {DETECTION} needs a head, as in `head=ssdlite`: {known}", "head")
