"""Measures and answers as files."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify

from trivium.evaluations.models import EvaluatedRow, Evaluation
from trivium.evaluations.results import measures_of, titles_of
from trivium.evaluations.showing import dataset_names
from trivium.runs.views import inert

CSV = "text/csv; charset=utf-8"
MAX_NAME = 60
MEASURED = (
    "model", "dataset", "measure", "by", "value", "low", "high", "n", "unit",
    "difference", "difference_low", "difference_high", "outcome", "wins", "losses",
    "ties", "beside", "beside_words",
)  # fmt: skip
ANSWERED = ("dataset", "row", "prompt", "expected", "subject")
OF_ANSWER = ("answer", "right", "exact", "quality", "reward", "error")


def send_measures(evaluation: Evaluation, form: str) -> HttpResponse:
    """Answer with everything measured."""
    if form == "json":
        values = {"name": evaluation.name, **evaluation.facts}
        response: HttpResponse = JsonResponse(values)
        return named(response, evaluation, "measures.json")
    text = io.StringIO()
    writer = csv.DictWriter(text, MEASURED)
    writer.writeheader()
    for row in measured_rows(evaluation):
        writer.writerow({key: inert(value) for key, value in row.items()})
    response = HttpResponse(text.getvalue(), content_type=CSV)
    return named(response, evaluation, "measures.csv")


def measured_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield a flat row for each measure."""
    titles, names = titles_of(evaluation), dataset_names(evaluation)
    for one in measures_of(evaluation):
        apart = one.difference
        yield {
            "model": titles[one.model],
            "dataset": "" if one.dataset is None else names[one.dataset],
            "measure": one.name,
            "by": one.by,
            "value": one.estimate.value,
            "low": one.estimate.low,
            "high": one.estimate.high,
            "n": one.n,
            "unit": one.unit,
            "difference": apart.value if apart else None,
            "difference_low": apart.low if apart else None,
            "difference_high": apart.high if apart else None,
            "outcome": one.outcome or "",
            "wins": one.wins,
            "losses": one.losses,
            "ties": one.ties,
            "beside": one.beside.value if one.beside else None,
            "beside_words": one.beside_words,
        }


def send_answers(evaluation: Evaluation, form: str) -> HttpResponse:
    """Answer with every row: CSV, or a JSON object a line."""
    lines = _json_lines(evaluation) if form == "json" else _csv_lines(evaluation)
    # Models may leave halves of surrogate pairs, which no file can hold.
    body = b"".join(line.encode("utf-8", "backslashreplace") for line in lines)
    kind = "application/jsonl" if form == "json" else CSV
    ending = "jsonl" if form == "json" else "csv"
    return named(HttpResponse(body, content_type=kind), evaluation, f"answers.{ending}")


def _json_lines(evaluation: Evaluation) -> Iterator[str]:
    titles, names = titles_of(evaluation), dataset_names(evaluation)
    for row in _rows(evaluation):
        values = {
            "dataset": names[row.dataset],
            "row": row.number,
            "prompt": row.prompt,
            "expected": row.expected,
            "subject": row.subject,
            "answers": [
                {"model": title, **(told or {})}
                for title, told in zip(titles, row.answers, strict=True)
            ],
        }
        yield json.dumps(values, ensure_ascii=False) + "\n"


def _csv_lines(evaluation: Evaluation) -> Iterator[str]:
    titles, names = titles_of(evaluation), dataset_names(evaluation)
    head = [*ANSWERED, *(f"{title}: {part}" for title in titles for part in OF_ANSWER)]
    yield _csv_line(head)
    for row in _rows(evaluation):
        prompt = "\n\n".join(
            f"{turn['role']}: {turn['content'] or ''}" for turn in row.prompt
        )
        values: list[Any] = [
            names[row.dataset], row.number, prompt, row.expected, row.subject
        ]  # fmt: skip
        for told in row.answers:
            given = told or {}
            values += [
                given.get(key, "")
                for key in ("text", "is_right", "is_exact", "quality", "score", "error")
            ]
        yield _csv_line(values)


def _csv_line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([inert(one) for one in values])
    return text.getvalue()


def _rows(evaluation: Evaluation) -> Iterator[EvaluatedRow]:
    return evaluation.rows.order_by("place").iterator(chunk_size=200)


def named(response: HttpResponse, evaluation: Evaluation, ending: str) -> HttpResponse:
    """Let a browser keep an answer as a file."""
    stem = slugify(evaluation.name)[:MAX_NAME] or f"evaluation-{evaluation.pk}"
    disposition = content_disposition_header(
        as_attachment=True, filename=f"{stem}-{ending}"
    )
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response
