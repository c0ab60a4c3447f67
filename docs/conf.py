"""Sphinx: the site of README, guides and docstrings. `make docs` builds it under build/docs, with warnings as errors.

The source folder is the repository, so that links between its pages work here as they do beside the code. No page loads
anything from another host: formulas become MathML while the site is built.
"""

import ast
import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

import jaxnets
from jaxnets import registry

project, version, root_doc = "jaxnets", jaxnets.__version__, "docs/index"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = ["*.md", "docs/*.md", "benchmarks/README.md", "jaxnets/nn/kernels/README.md"]
exclude_patterns = ["build", "runs", ".*"]
default_role = "py:obj"  # `train` in a docstring is a link where such a thing is documented, and code elsewhere.
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_use_ivar = True  # The attributes of a Linen module are described once, in its docstring.

html_theme, html_title = "furo", f"jaxnets {version}"
html_show_copyright = html_show_sphinx = html_copy_source = False
html_static_path, html_css_files, html_extra_path = ["static"], ["site.css"], ["redirect"]
html_math_renderer = "mathml"


def experiments(app: Sphinx, page: str, source: list[str]) -> None:
    """Completes the page of experiments: for each config file its experiments and its docstring."""
    if page != "docs/experiments":
        return
    for path in sorted(registry.config_folder().glob("*.py")):
        title, _, text = str(ast.get_docstring(ast.parse(path.read_text("utf-8")))).partition("\n")
        text = re.sub(r"^(?=(Stated|Open|Inferred|Expected|Not run)\b)", "\n", text, flags=re.MULTILINE)  # Paragraphs.
        rows = "".join(f"| `{e.id}` | {e.source} | {e.summary} |\n" for e in registry.family(path.stem).values())
        source[0] += f"\n## {title.rstrip('.')}\n\n`configs/{path.name}`\n{text}\n\n"
        source[0] += f"| experiment | source | |\n| :-- | :-- | :-- |\n{rows}"


def mathml(translator: Any, node: nodes.Element) -> None:
    """Writes a formula as MathML, in the line or on a line of its own."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, text: str, result: str) -> tuple[Any, Any]:
    """Leaves out what Flax adds to every module, and all of a config's, whose fields follow with their defaults."""
    if what == "class" and name.startswith("jaxnets.config"):
        return "", result
    return text and re.sub(r"(, )?parent: .*", ")", text), result


def docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Indented paragraphs are code, as in Markdown. What is before a colon in a field's docstring is no type."""
    code = re.sub(r"^(?!\.\. )(\S.*)\n\n(?=    \S)", r"\1\n\n::\n\n", "\n".join(lines), flags=re.MULTILINE)
    comment = ["..", ""] if what in ("attribute", "data", "property") else []  # Napoleon looks for types in the first line.
    lines[:] = comment + code.split("\n")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers the above."""
    app.connect("source-read", experiments)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before Napoleon
    app.add_html_math_renderer("mathml", inline_renderers=(mathml, None), block_renderers=(mathml, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
