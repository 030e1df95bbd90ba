"""The page of a class: one HTML file without scripts and addresses, for a phone, a desk or a printer."""

import csv
import html
import statistics

from .._files import whole_file
from .._text import printable

#: What ends the names of mistakes of functions that are not written.
_BLANK = ("NotImplementedError", "blank")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The class</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 1em auto; padding: 0 1em; line-height: 1.4 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ border-top: 1px solid #ccc; padding: 0.4em 1em 0.4em 0; text-align: left; vertical-align: top }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3em 0 0 }}
td {{ overflow-wrap: break-word }}
.bar {{ background: #7aa6c2; height: 1em; print-color-adjust: exact; -webkit-print-color-adjust: exact }}
.part {{ width: 50% }}
@media print {{ tr {{ break-inside: avoid }} }}
</style>
</head>
<body>
<h1>The class</h1>
{body}
</body>
</html>
"""


def write_page(path, results, before=None):
    """Write the page of a class.

    Points and how they are spread, how many pass each test, the mistakes by frequency with the students concerned, who
    is stuck, and how it compares with the grading before. A test that fails beside the named mistake of its function is
    not listed again; whoever has written nothing is one row.

    Parameters
    ----------
    path : str or path-like
        The HTML file to write.
    results : list of Graded
        What `grade` returned.
    before : dict of (str, str) to float, optional
        The points of the grading before, by student and assignment, as `points_in` reads them.
    """
    parts = [_points(results, before or {}), _tests(results), _mistakes(results), _stuck(results)]
    with whole_file(path) as temporary:
        text = PAGE.format(body="\n".join(filter(None, parts)))
        temporary.write_text(text, encoding="utf-8", errors="replace")


def points_in(path):
    """Read the points of a table that `write_grades` has written.

    Parameters
    ----------
    path : str or path-like
        The CSV file.

    Returns
    -------
    dict of (str, str) to float
        By student and assignment; empty where there is no such table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return {(row["student"], row["assignment"]): float(row["score"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return {}


def _points(results, before):
    shares = [result.score / result.max_score for result in results if result.max_score]
    if not shares:
        return f"<p>{len(results)} submissions, none of which has points.</p>"
    lines = [
        f"<p>{len(results)} submissions. Mean {statistics.mean(shares):.0%} of the points, median "
        f"{statistics.median(shares):.0%}; {sum(share == 1 for share in shares)} have all.</p>"
    ]
    known = [(r.score - before[r.student, r.assignment]) for r in results if (r.student, r.assignment) in before]
    if known:
        better, worse = sum(d > 0 for d in known), sum(d < 0 for d in known)
        lines.append(
            f"<p>Since the grading before: {better} have more points, {worse} fewer, {len(known) - better - worse} as "
            f"many; {len(results) - len(known)} are new.</p>"
        )
    bins = [0] * 10
    for share in shares:
        bins[min(9, max(0, int(10 * share)))] += 1
    rows = [(f"{10 * i} to {10 * i + 10} %", n, n / max(bins)) for i, n in enumerate(bins)]
    return "\n".join([*lines, "<h2>Points</h2>", _bars(rows[::-1])])


def _tests(results):
    passed = {}
    for result in results:
        for name, right in result.tests:
            passed.setdefault((result.assignment, name), []).append(right)
    several = len({assignment for assignment, _ in passed}) > 1
    rows = [
        (f"{assignment}: {name}" if several else name, f"{sum(seen)} of {len(seen)}", sum(seen) / len(seen))
        for (assignment, name), seen in passed.items()
    ]
    return f"<h2>Tests passed</h2>\n{_bars(rows)}" if rows else ""


def _mistakes(results):
    who, hints = {}, {}
    for result in results:
        for mistake in _told(result):
            who.setdefault(mistake.name, []).append(result.student)
            hints.setdefault(mistake.name, mistake.hint)
    if not who:
        return ""
    rows = []
    for name in sorted(who, key=lambda name: (not hints[name], -len(who[name]), name)):
        hint = f"<pre>{html.escape(hints[name])}</pre>" if hints[name] else ""
        rows.append([str(len(who[name])), html.escape(name) + hint, _names(who[name])])
    head = "<tr><th></th><th>mistake</th><th>who</th></tr>"
    note = "<p>What was found is that of one submission. Errors that no check has named come last.</p>"
    return f"<h2>Mistakes</h2>\n{note}\n<table>{head}{''.join(map(_row, rows))}</table>"


def _told(result):
    """Return the mistakes worth a line: not what is blank or was stopped, nor a test beside its function's mistake."""
    if not result.status.startswith("graded") or _is_blank(result):
        return []
    named = {m.name.partition(":")[0].removeprefix("compute_").replace("_", "-") for m in result.mistakes if m.hint}
    return [
        mistake
        for mistake in result.mistakes
        if mistake.hint or not any(mistake.name.startswith(f"{function}-") for function in named)
    ]


def _is_blank(result):
    return bool(result.mistakes) and all(m.name.endswith(_BLANK) for m in result.mistakes) and not result.score


def _stuck(results):
    rows = []
    blank = [result.student for result in results if _is_blank(result)]
    if blank:
        rows.append(["nothing is written yet", _names(blank)])
    stopped = {}
    for result in results:
        if not result.status.startswith("graded"):
            stopped.setdefault(result.status, []).append(result.student)
    rows += [[html.escape(printable(status)), _names(who)] for status, who in sorted(stopped.items())]
    return f"<h2>Who is stuck</h2>\n<table>{''.join(map(_row, rows))}</table>" if rows else ""


def _names(students):
    return html.escape(", ".join(printable(student) for student in students))


def _row(columns):
    return f"<tr>{''.join(f'<td>{column}</td>' for column in columns)}</tr>"


def _bars(rows):
    def bar(share):
        return f'<div class="bar" style="width: {100 * share:.0f}%"></div>'

    return (
        "<table>"
        + "".join(
            f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(told))}</td>"
            f'<td class="part">{bar(share)}</td></tr>'
            for name, told, share in rows
        )
        + "</table>"
    )
