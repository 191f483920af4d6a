"""The site of these pages: ``sphinx-build -W --keep-going -n -b html docs build/docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site"))

from moexray import __version__

project = "moexray"
release = version = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    # Of docs/site:
    "accessible",
    "contents",
    "mathml",
    "names",
    "outside",
    "results",
]

# Markdown: formulas in dollars, links to headings down to the fourth level.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Names of docstrings; nothing is asked of other projects' sites.
toc_object_entries = False
napoleon_use_ivar = True
napoleon_use_param = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

# Inner parts that a user meets only as the type of a parameter or an attribute.
nitpick_ignore = [
    ("py:class", f"moexray.{name}")
    for name in (
        "claims.claim.Claim",
        "counts.Rows",
        "engines.engine.Engine",
        "recording.progress.Progress",
        "routed_tokens.RoutedTokens",
        "shards.Shard",
    )
]

# Cells of pages run when the site is built, always; one that fails stops the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_output_stderr = "remove-warn"  # a warning of a cell is one of the build

html_theme = "furo"
html_title = f"moexray {version}"
html_static_path = ["site/static"]
html_css_files = ["moexray.css"]
html_math_renderer = "mathml"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
