"""Parameter types for files and folders: a path, or a path or URL."""

from pathlib import Path
from typing import Any

import click

from nas.core import plugins
from nas.core.errors import NasError
from nas.core.storage import Place, is_url


class _LocalPath(click.Path):
    """A path; URLs are rejected, instead of creating a folder called "s3:"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, str) and is_url(value):
            raise NasError(f"{value}: a URL cannot be used here; give a path")
        return Path(str(super().convert(value, param, ctx)))


class _Place(click.ParamType):  # type: ignore[type-arg]  # not generic in older click
    """A folder that may be kept at a URL."""

    name = "path|url"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        return value if isinstance(value, Place) else Place(str(value))


def _allow(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Let code that files name run until the command ends, if the user allows it."""
    ctx.with_resource(plugins.allowing(value))
    return value


ALLOW_PLUGINS = click.option(
    "--allow-plugins",
    is_flag=True,
    callback=_allow,
    help="Run Python modules that a run folder or a file names; only use it if you trust them.",
)
PATH, PLACE = _LocalPath(path_type=Path), _Place()
