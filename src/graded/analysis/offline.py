"""A page for `dvc plots show` that loads nothing: DVC's own takes Vega from a CDN and shows no curve offline.

`make` writes it beside the environment and names it in `.dvc/config.local`: `plots.html_template`.
Vega, Vega-Lite and vega-embed (BSD-3-Clause) come out of vl-convert.
"""

from __future__ import annotations

import sys
from pathlib import Path

from graded.formats.atomic import write_text

#: The Vega-Lite that DVC's templates are written for, as far as vl-convert carries it.
VERSION = "5.20"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{{refresh_tag}}
<title>Plots</title>
<link rel="icon" href="data:,">
<style>
body {{ font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }}
img {{ max-width: 100% }}
</style>
<script>{bundle}</script>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def page() -> str:
    """Return DVC's HTML template with the scripts in it."""
    import vl_convert

    # Without a snippet it is all three libraries; the stub misses the default.
    bundle = str(vl_convert.javascript_bundle(vl_version=VERSION))  # type: ignore[call-arg]
    return PAGE.format(bundle=bundle.replace("</script", "<\\/script"))


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), page())
