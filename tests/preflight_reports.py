"""Reports as a preflight leaves them, for pages that show them."""

from runspec.preflight import BatchRow, Check, Piece, PreflightReport

TURNS = [
    ("<|im_start|>system\nYou are a guide to a small town.<|im_end|>\n", 14, False),
    ("<|im_start|>user\nWhere does Ada live?<|im_end|>\n", 12, False),
    ("<|im_start|>assistant\n", 3, False),
    ("Ada lives in Ulm.<|im_end|>", 7, True),
    ("\n", 1, False),
]
SILENT = [
    ("<|im_start|>user\nWhere does Ben live?<|im_end|>\n", 12, False),
    ("<|pad|><|pad|>", 2, False),
]


def row(turns: list[tuple[str, int, bool]]) -> BatchRow:
    pieces = [Piece(text=t, tokens=n, is_trained=is_it) for t, n, is_it in turns]
    return BatchRow(
        pieces=pieces,
        tokens=sum(piece.tokens for piece in pieces),
        trained_tokens=sum(piece.tokens for piece in pieces if piece.is_trained),
    )


FINE = [
    Check(
        name="template", title="Chat template", status="ok",
        sentence="ChatML writes every conversation, and reads back what it wrote.",
    ),
    Check(
        name="end_token", title="End of turn", status="ok",
        sentence="Every answer ends with <|im_end|>, at which generation stops too.",
    ),
    Check(
        name="trained_tokens", title="Something to learn", status="ok",
        sentence="Each of the 4,212 rows has at least 3 tokens that are learned from.",
    ),
    Check(
        name="memory", title="Memory", status="ok",
        sentence="One step at the longest batch took 1.9 GB of 16 GB.",
    ),
]  # fmt: skip
TOO_LONG = Check(
    name="too_long", title="Longer rows", status="warning",
    sentence="38 of 4,250 rows are longer than 128 tokens and are left out. Cut them "
    "off instead, or raise the longest row to 512.",
    changes={"too_long": "truncate"}, button="Cut them off",
)  # fmt: skip
NO_END = Check(
    name="end_token", title="End of turn", status="failed",
    sentence="The template never writes <|end|> after an answer, so the model would "
    "not learn to stop. Take ChatML, which does.",
    changes={"chat_template": "chatml"}, button="Use ChatML and try again",
)  # fmt: skip
FACTS = {
    "rows": 4_212, "tokens": 391_004, "trained_share": 0.34, "steps": 1_581,
    "template": "{% for m in messages %}", "labels": [], "longest_row": 127,
    "peak_memory_bytes": 1_900_000_000,
}  # fmt: skip
PASSED = PreflightReport(
    checks=[*FINE, TOO_LONG], batch=[row(TURNS), row(TURNS[1:])], facts=FACTS
)
REFUSED = PreflightReport(
    checks=[FINE[0], NO_END, FINE[2], TOO_LONG], batch=[row(TURNS), row(SILENT)]
)
CLASSIFIED = PreflightReport(
    checks=FINE[2:],
    batch=[
        BatchRow(
            pieces=[Piece(text="[CLS]a joy[SEP]", tokens=4, is_trained=False)],
            tokens=4,
            trained_tokens=0,
            label="positive",
        )
    ],
)
TRANSLATED = PreflightReport(
    checks=FINE[2:],
    batch=[
        BatchRow(
            pieces=[Piece(text="good day</s>", tokens=4, is_trained=False)],
            tokens=4,
            trained_tokens=3,
            target=[Piece(text="guten Tag</s>", tokens=3, is_trained=True)],
        )
    ],
)
