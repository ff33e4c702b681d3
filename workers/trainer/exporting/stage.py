"""Run one export: a campaign's comparisons become rows, and files for other tools.

The file is read twice: once to know which prompts validate and what is left out, once
to write. Nothing of it is held beyond 24 bytes a row, and no torch is loaded.
"""

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from runspec import ExportSpec
from runspec.labels import LabeledPair
from runspec.layout import (
    DATASET_CARD,
    EXPORTS,
    OUTPUT,
    DatasetCard,
    ExportFile,
)

from trainer.context import Context
from trainer.errors import BadInputError, Stopped
from trainer.exporting.deciding import REASONS, Decision, decide
from trainer.exporting.exports import Exports, Place
from trainer.exporting.pairs import read_pairs
from trainer.exporting.readme import Told
from trainer.exporting.rows import KIND, SCHEMA, RowWriter, row_of
from trainer.exporting.sidecar import Row
from trainer.exporting.splitting import Hashes, Lots, lot_of
from trainer.exporting.turns import answer_text, is_chat, prompt_sha256
from trainer.ingest.source import file_sha256

REPORT_EVERY_S = 0.3
PROMPT_ID = 16
"""Characters of a prompt's hash that name it in the sidecar."""


def run_export(spec: ExportSpec, *, context: Context) -> None:
    """Make `output/` a dataset of what the votes in `spec.campaign` decide.

    Raises:
        BadInputError: the file cannot be read, or decides nothing.
        Stopped: the run was asked to stop; nothing is kept.
    """
    export = _Export(spec, context, Path(spec.campaign))
    export.look()
    output = context.folder / OUTPUT
    (output / EXPORTS).mkdir(parents=True, exist_ok=True)
    card = export.write(output)
    (output / DATASET_CARD).write_text(card.model_dump_json(indent=1))
    for note in card.notes:
        context.report.warning(note)
    context.report.result(
        rows=card.rows,
        bytes=card.bytes,
        characters=card.characters,
        duplicate_rows=card.duplicate_rows,
        skipped_rows=card.skipped_rows,
        votes=export.num_votes,
    )


@dataclass
class _Export:
    """One export, and what was counted in its first pass."""

    spec: ExportSpec
    context: Context
    path: Path
    lots: Lots = field(default_factory=Lots)
    reasons: Counter[str] = field(default_factory=Counter)
    num_pairs: int = 0
    num_votes: int = 0
    num_counted: int = 0
    shapes: set[bool] = field(default_factory=set)
    """Whether prompts are conversations: yes, no, or some are."""
    _last: float = 0.0

    def look(self) -> None:
        """Read everything once, and count.

        Raises:
            BadInputError: there would be no row.
        """
        size = self._size()
        for pair, position in read_pairs(self.path):
            decision = decide(pair, self.spec)
            self.num_pairs += 1
            self.num_votes += len(pair.votes)
            self.num_counted += len(decision.votes)
            if decision.has_enough:
                self.shapes.add(is_chat(pair))
            if decision.chosen is None:
                self.reasons[decision.why_not] += 1
            else:
                self.lots.add(_hashes(pair, decision))
            self._report("deciding", position, size)
        if not self.lots.num_rows:
            raise BadInputError(
                f"no pair is decided: of {self.num_pairs:,} comparisons "
                + ("; ".join(self._left_out()) or "none was found"),
                advice="Collect more votes, or lower min_votes or min_share.",
            )

    def write(self, output: Path) -> DatasetCard:
        """Read everything again, and write it; return the card."""
        size = self._size()
        limit = self.lots.limit(self.spec.validation_fraction)
        rows = RowWriter(output)
        exports = Exports(
            output / EXPORTS, self.spec, is_mixed=self.shapes == {True, False}
        )
        try:
            for pair, position in read_pairs(self.path):
                decision = decide(pair, self.spec)
                prompt = prompt_sha256(pair).digest()
                split = "validation" if lot_of(prompt) < limit else "train"
                row = None
                if decision.chosen is not None:
                    row = Row(split, rows.add(split, row_of(pair, decision)))
                place = Place(split, row, prompt.hex()[:PROMPT_ID])
                exports.add(pair, decision, place)
                self._report("writing", position, size)
            files = exports.finish(self._told())
        finally:
            exports.close()
        self._report("writing", size, size, is_last=True)
        return self._card(rows, files)

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise BadInputError(f"the votes cannot be read: {error}") from error

    def _report(
        self, phase: str, step: int, total: int, *, is_last: bool = False
    ) -> None:
        """Say a few times a second how far it is; stop when asked to."""
        if self.context.stop.is_set():
            raise Stopped
        now = time.monotonic()
        if is_last or now - self._last >= REPORT_EVERY_S:
            self._last = now
            self.context.report.progress(
                step=min(step, total), total=total, unit="bytes", phase=phase
            )

    def _left_out(self) -> list[str]:
        """Say how many comparisons are no rows, by reason."""
        return [
            f"{self.reasons[reason]:,}: {text}"
            for reason, text in REASONS.items()
            if self.reasons[reason]
        ]

    def _told(self) -> Told:
        return Told(
            spec=self.spec,
            num_pairs=self.num_pairs,
            num_rows=self.lots.num_rows,
            num_votes=self.num_votes,
            num_counted=self.num_counted,
            left_out={name: n for name in REASONS if (n := self.reasons[name])},
        )

    def _card(self, rows: RowWriter, files: list[ExportFile]) -> DatasetCard:
        splits, hashes, counts = rows.finish()
        counts[0].lengths.counts += counts[1].lengths.counts
        distinct = self.lots.num_distinct()
        # Other votes on the same pairs are another export: its files count too.
        content = [KIND, *SCHEMA.names, *hashes]
        content += [f"{file.name} {file.sha256}" for file in files]
        return DatasetCard(
            kind=KIND,
            columns=SCHEMA.names,
            rows=self.lots.num_rows,
            bytes=sum(split.bytes for split in splits.values()),
            characters=sum(split.characters for split in splits.values()),
            distinct_rows=distinct,
            duplicate_rows=self.lots.num_rows - distinct,
            skipped_rows=self.num_pairs - self.lots.num_rows,
            length_histogram=counts[0].lengths.bins(),
            longest_row=max(one.longest for one in counts),
            splits=splits,
            content_sha256=hashlib.sha256("\n".join(content).encode()).hexdigest(),
            source_name=self.spec.source_name,
            source_sha256=file_sha256(self.path),
            notes=self._notes("validation" in splits),
            layout="votes of a campaign",
            shared_prompts=distinct - self.lots.num_prompts(),
            exports=files,
            pairs=rows.facts.pairs.as_facts(
                num_prompts=self.lots.num_prompts(),
                contradictions=self.lots.num_contradictions(),
                repeated=self.lots.num_rows - distinct,
                ties=self.reasons["no preference"],
            ),
            **rows.facts.as_card(),
        )

    def _notes(self, has_validation: bool) -> list[str]:
        notes = [f"comparisons left out, {text}" for text in self._left_out()]
        if contradictions := self.lots.num_contradictions():
            are = "pair is" if contradictions == 1 else "pairs are"
            notes.append(
                f"{contradictions:,} {are} contradicted by another: the same two "
                "answers to the same prompt, preferred the other way round"
            )
        if self.spec.validation_fraction and not has_validation:
            notes.append("there is no validation split: all pairs have one prompt")
        return notes


def _hashes(pair: LabeledPair, decision: Decision) -> Hashes:
    """Return the hashes of a decided pair."""
    assert decision.chosen is not None
    assert decision.rejected is not None
    sides = (decision.chosen, decision.rejected)
    answers = [
        hashlib.sha256(answer_text(pair, side).encode()).digest() for side in sides
    ]
    prompt = prompt_sha256(pair)
    row, either = prompt.copy(), prompt.copy()
    row.update(b"".join(answers))
    either.update(b"".join(sorted(answers)))
    return Hashes(prompt.digest(), row.digest(), either.digest())
