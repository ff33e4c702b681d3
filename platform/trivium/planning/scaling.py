"""Which model a given compute is best spent on: the laws of Hoffmann et al. 2022.

"Training Compute-Optimal Large Language Models" (Chinchilla), arXiv:2203.15556. The
fit is over models of 70 M to 16 B parameters on one web corpus; anything outside that,
or on other text, is an extrapolation.
"""

import math
from dataclasses import dataclass
from typing import Literal

from trivium.planning.formulas import FLOPS_PER_PARAMETER_AND_TOKEN

Rule = Literal["twenty", "fitted"]
TOKENS_PER_PARAMETER = 20
"""What the paper's first two approaches come to near the sizes it trained."""
IRREDUCIBLE, A, ALPHA, B, BETA = 1.69, 406.4, 0.34, 410.7, 0.28
"""Approach 3: L = 1.69 + 406.4/N^0.34 + 410.7/D^0.28, rounded as the paper prints it
(section 3.3). Besiroglu et al. 2024 (arXiv:2404.10102) fit the paper's data again and
get less extreme ratios of tokens to parameters."""
FITTED_FLOPS = (6e18, 3e21)
"""Compute of the runs the fit saw."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best model for its compute."""

    parameters: float
    tokens: float


def optimum_for_flops(flops: float, rule: Rule) -> Optimum:
    """Return the parameters and tokens that make the best of `flops` = 6·N·D.

    twenty: D = 20·N, so N = sqrt(C / 120). fitted: N = G·(C/6)^a with
    G = (ALPHA·A / BETA·B)^(1 / (ALPHA + BETA)) and a = BETA / (ALPHA + BETA)
    (equation 4 of the paper).
    """
    product = flops / FLOPS_PER_PARAMETER_AND_TOKEN
    if rule == "twenty":
        parameters = math.sqrt(product / TOKENS_PER_PARAMETER)
    else:
        parameters = _g() * product ** _parameter_share()
    return Optimum(parameters, product / parameters)


def optimal_tokens(parameters: float, rule: Rule) -> float:
    """Return the tokens at whose compute a model of this size is the best one."""
    if rule == "twenty":
        return TOKENS_PER_PARAMETER * parameters
    # The law turned around: C/6 = (N/G)^(1/a), and D = (C/6)/N.
    product = float((parameters / _g()) ** (1 / _parameter_share()))
    return product / parameters


def expected_loss(parameters: float, tokens: float) -> float:
    """Return nats per token by approach 3, on the paper's text and vocabulary."""
    return float(IRREDUCIBLE + A / parameters**ALPHA + B / tokens**BETA)


def _parameter_share() -> float:
    """Exponent by which the best size grows with compute; about 0.45."""
    return BETA / (ALPHA + BETA)


def _g() -> float:
    return float((ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)))
