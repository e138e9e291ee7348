"""What a drift check found, as a page, and as pictures that the run's report shows, too: HTML and SVG, no scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import contract

__all__ = ["drift_page", "drift_pictures", "drift_table"]

_TEST, _CAPTURED = "#8b949e", "#1f8fd6"
"""Colours of the test photos' bars and of the captured answers', on light and on dark pages."""

_WIDTH: Final = 360
_MOST_CLASSES: Final = 12
_LABEL_CHARACTERS: Final = 16
_LABEL_WIDTH: Final = 118
_ROW: Final = 30
_BAR: Final = 10
_HEIGHT: Final = 150
_FOOT: Final = 22

_VERDICTS: Final[dict[contract.DriftVerdict, str]] = {
    "no_model": "Nothing to check",
    "no_baseline": "Nothing to compare with",
    "too_few": "Too few answers to tell",
    "steady": "No drift found",
    "drifted": "Drift found",
}

_STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #fff; --text: #1b1f24; --soft: #57606a; --line: #d8dde3;
  --bad: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --page: #12161b; --card: #1b2128; --text: #e6eaee; --soft: #9aa5b1;
  --line: #343d47; --bad: #ff9e66; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 20px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0 0 12px; font-size: 24px; } h1.drifted { color: var(--bad); }
p { max-width: 78ch; } .soft, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); text-align: left; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""

_PICTURES_STYLE = """
.drift { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 16px; margin: 16px 0;
  align-items: start; }
.drift figure { margin: 0; padding: 12px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.drift svg { display: block; width: 100%; height: auto; font: 12px system-ui, "Segoe UI", Roboto, sans-serif; }
.drift i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; }
"""  # noqa: E501


def drift_page(check: contract.DriftCheck) -> str:
    """Return the page about a check, which needs no network and no second file."""
    verdict = _VERDICTS[check["verdict"]]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Drift: {escape(check["environment"])} &ndash; whippet</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1 class="{check["verdict"]}">{verdict}</h1>
<p>{escape(check["why"])}</p>
<p class="soft">{escape(_what(check))}</p>
{drift_table(check)}
{drift_pictures(check)}
</main>
</body>
</html>
"""


def drift_table(check: contract.DriftCheck) -> str:
    """Return the table of the measures; empty where nothing was compared."""
    if not check["measures"]:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{contract.DRIFT_TITLES[one["measure"]]}</th><td class="n">{one["difference"]:.1%}</td>'
        f'<td class="n">{_p_value(one["p_value"])}</td><td>{"drifted" if one["drifted"] else "steady"}</td></tr>'
        for one in check["measures"]
    )
    head = (
        '<tr><th scope="col">Measure</th><th scope="col" class="n">Difference</th>'
        '<th scope="col" class="n">By chance</th><th scope="col">Verdict</th></tr>'
    )
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def drift_pictures(check: contract.DriftCheck) -> str:
    """Return the figures of classes, confidence and distance; empty where nothing was compared."""
    if not check["measures"]:
        return ""
    key = (
        f'<p class="soft"><span class="drift" style="display:inline"><i style="background:{_TEST}"></i> '
        f'{check["test_photos"]:,} test photos</span> &nbsp; <span class="drift" style="display:inline">'
        f'<i style="background:{_CAPTURED}"></i> {check["answers"]:,} captured answers</span></p>'
    )
    figures = [_classes(check["classes"]), _histogram("Confidence", check["confidence"], decimals=1)]
    if check["distance"]:
        unknown = check.get("unknown")
        beyond = (
            f"; unknown (above 1): {unknown['test']:.0%} of the test photos, {unknown['captured']:.0%} of the answers "
            f"({unknown['low']:.0%} to {unknown['high']:.0%})"
            if unknown
            else ""
        )
        title = f"Distance to the training photos{beyond}"
        figures.append(_histogram(title, check["distance"], decimals=1, is_open=True))
    return f'<style>{_PICTURES_STYLE}</style>\n{key}\n<div class="drift">{"".join(figures)}</div>'


def _what(check: contract.DriftCheck) -> str:
    """Return what was compared, as a sentence."""
    parts = [f"Checked {_moment(check['checked'])}, endpoint {check['endpoint']}"]
    if check["run"]:
        parts[0] += f", run {check['run']}"
    if "since" in check and "until" in check:
        sample = " (a sample)" if check["is_sample"] else ""
        parts.append(
            f"{check['answers']:,} answers{sample} from {_moment(check['since'])} to {_moment(check['until'])}"
        )
    if check["unreadable"]:
        parts.append(f"{check['unreadable']:,} captured lines are no answers")
    return "; ".join(parts) + ". Times are in UTC."


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _p_value(value: float) -> str:
    return "&lt; 0.01%" if value < 0.0001 else f"{value:.2%}"


def _classes(shares: Sequence[contract.ClassShare]) -> str:
    """Return the figure of the classes that differ most, a pair of bars each, with the captured share's interval."""
    shown = shares[:_MOST_CLASSES]
    longest = max((max(one["test"], one["high"]) for one in shown), default=1.0) or 1.0
    room = _WIDTH - _LABEL_WIDTH - 44

    def rows() -> Iterator[str]:
        for number, one in enumerate(shown):
            top = number * _ROW + 4
            name = one["name"]
            label = name if len(name) <= _LABEL_CHARACTERS else f"{name[: _LABEL_CHARACTERS - 1]}…"
            yield f'<text x="0" y="{top + 14}" fill="currentColor"><title>{escape(name)}</title>{escape(label)}</text>'
            for offset, share, colour in ((0, one["test"], _TEST), (_BAR + 2, one["captured"], _CAPTURED)):
                width = room * share / longest
                yield _bar(_LABEL_WIDTH, top + offset, width, _BAR, colour)
            low, high = (_LABEL_WIDTH + room * one[end] / longest for end in ("low", "high"))
            middle = top + _BAR + 2 + _BAR / 2
            yield f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="currentColor"/>'
            yield (
                f'<text x="{_WIDTH}" y="{top + 19}" text-anchor="end" fill="currentColor">{one["captured"]:.0%}</text>'
            )

    rest = f"; {len(shares) - len(shown)} more differ less" if len(shares) > len(shown) else ""
    caption = f"Class mix: the likeliest class, with the 95% interval{rest}"
    return _figure(caption, "".join(rows()), height=len(shown) * _ROW + 8)


def _histogram(title: str, bins: Sequence[contract.Bin], *, decimals: int, is_open: bool = False) -> str:
    """Return the figure of the shares of the bins, a pair of bars each; `is_open`: the last bin has no upper end."""
    longest = max((max(one["test"], one["captured"]) for one in bins), default=1.0) or 1.0
    step = _WIDTH / len(bins)
    top = 16

    def columns() -> Iterator[str]:
        yield f'<text x="0" y="10" fill="currentColor">{longest:.0%}</text>'
        for number, one in enumerate(bins):
            left = number * step
            for offset, share, colour in ((2, one["test"], _TEST), (step / 2, one["captured"], _CAPTURED)):
                height = _HEIGHT * share / longest
                yield _bar(left + offset, top + _HEIGHT - height, step / 2 - 2, height, colour)
            yield (
                f'<text x="{left:.1f}" y="{top + _HEIGHT + 15}" fill="currentColor">{one["low"]:.{decimals}f}</text>'
            )
        yield f'<path d="M0 {top + _HEIGHT}H{_WIDTH}" stroke="currentColor"/>'
        if not is_open:
            return
        yield f'<text x="{_WIDTH}" y="{top + _HEIGHT + 15}" text-anchor="end" fill="currentColor">…</text>'

    return _figure(title, "".join(columns()), height=top + _HEIGHT + _FOOT)


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _figure(caption: str, content: str, *, height: float) -> str:
    text = escape(caption)
    svg = f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{text}">{content}</svg>'
    return f"<figure><figcaption>{text}</figcaption>{svg}</figure>"
