"""The documentation site: `sphinx-build -W -c docs . build/site`, in the root of the repository.

The source folder is the root, so that pages link the READMEs of the data folders and of
`experiments/`, and their pictures, as they do on a file system. Nothing is fetched from a network.
"""

from importlib.metadata import version as version_of
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "nas"
author = "the nas developers"
release = version = version_of("nas")
root_doc = "docs/index"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
include_patterns = [
    "docs/**.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "nas/README.md",
    "*/README.md",
    "experiments/*/README.md",
]
exclude_patterns = ["build", "dist", "runs", "**/runs", "tests", ".*", "venv"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
highlight_language = "text"
smartquotes = False  # quotes in the text are those of settings

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"  # docstrings mark names by single backticks
nitpicky = False

html_theme = "furo"
html_title = "nas"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Write formulas as MathML, which browsers draw without a script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
