"""All files beside the rows, written side by side in one pass."""

from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from runspec import ExportSpec
from runspec.labels import LabeledPair
from runspec.layout import ExportFile

from trainer.exporting import sidecar, tools, trl
from trainer.exporting.deciding import Decision
from trainer.exporting.files import LinesFile, describe
from trainer.exporting.pseudonyms import Pseudonyms
from trainer.exporting.readme import ABOUT, Told, readme
from trainer.exporting.sidecar import Row
from trainer.exporting.turns import is_chat

README = "README.md"
MAX_REMEMBERED = 10_000
"""Names of labelers."""
BY_PROMPT = ("trl-explicit", "trl-implicit", "kto")
"""In these a column holds messages or text: one file cannot hold both."""


class Place(NamedTuple):
    """What the split made of a comparison."""

    split: str
    """The side its prompt is on, whether or not it is a row."""
    row: Row | None
    prompt_id: str


class Exports:
    """Takes one comparison at a time."""

    def __init__(self, folder: Path, spec: ExportSpec, *, is_mixed: bool) -> None:
        """Open all files; `is_mixed` says that some prompts are text and some chat."""
        self._folder = folder
        self._is_mixed = is_mixed
        # Each vote is in four files, and there are few people.
        self._pseudonym = lru_cache(MAX_REMEMBERED)(Pseudonyms().of)
        self._named = str if spec.names_labelers else self._pseudonym
        self._stack = ExitStack()
        self._files = {
            stem: self._open(stem) for stem in ABOUT if stem not in BY_PROMPT
        }
        for stem in BY_PROMPT:
            self._files[stem] = self._open(stem)
            if is_mixed:
                self._files[f"{stem}-text"] = self._open(f"{stem}-text")

    def _open(self, stem: str) -> LinesFile:
        is_array = stem == "label-studio"
        name = f"{stem}.json.gz" if is_array else f"{stem}.jsonl.gz"
        return self._stack.enter_context(
            LinesFile(self._folder / name, is_array=is_array)
        )

    def add(self, pair: LabeledPair, decision: Decision, place: Place) -> None:
        """Write a comparison into all files it belongs to."""
        files = self._files
        files["votes"].add(
            sidecar.whole(pair, decision, place.row, place.prompt_id, self._named)
        )
        for battle in tools.battles(pair, decision, self._pseudonym):
            files["arena"].add(battle)
        files["argilla"].add(tools.record(pair, decision, self._pseudonym))
        for task in tools.tasks(pair, self._pseudonym):
            files["label-studio"].add(task)
        if decision.why_not == "no preference":
            files["ties"].add(sidecar.tie(pair, decision))
        self._add_for_trl(pair, decision, place.split)

    def _add_for_trl(self, pair: LabeledPair, decision: Decision, split: str) -> None:
        ending = "-text" if self._is_mixed and not is_chat(pair) else ""
        if decision.chosen is not None:
            explicit = trl.explicit(pair, decision, split)
            self._files[f"trl-explicit{ending}"].add(explicit)
            implicit = trl.implicit(pair, decision, split)
            self._files[f"trl-implicit{ending}"].add(implicit)
        if decision.has_enough:
            for line in trl.unpaired(pair, decision, split):
                self._files[f"kto{ending}"].add(line)

    def finish(self, told: Told) -> list[ExportFile]:
        """Complete the files and the README; return all of them."""
        self.close()
        found = [
            file.described(ABOUT[stem.removesuffix("-text")].sentence)
            for stem, file in self._files.items()
        ]
        found.sort(key=lambda file: list(ABOUT).index(_stem(file)))
        path = self._folder / README
        path.write_text(readme(found, told), encoding="utf-8")
        return [describe(path, "What each of these files holds, and how.", 0), *found]

    def close(self) -> None:
        """Close all files, complete or not."""
        self._stack.close()


def _stem(file: ExportFile) -> str:
    return file.name.partition(".")[0].removesuffix("-text")
