"""Invented votes of labelers and models whose habits are known."""

from typing import NamedTuple

import numpy as np


class Battles(NamedTuple):
    """Votes between models, an entry each."""

    model_a: np.ndarray
    model_b: np.ndarray
    choice: np.ndarray
    length: np.ndarray


def reshaped(coders_by_units):
    """Return items, labelers and values of a table; 0 is a missing value."""
    labeler, item = np.nonzero(coders_by_units)
    return item, labeler, coders_by_units[labeler, item]


def labeled(rng, *, num_items, overlap, skill, num_labelers=10, num_choices=4):
    """Return votes that are right with chance `skill`, else any choice at random."""
    item_V = np.repeat(np.arange(num_items), overlap)
    start_U = rng.integers(0, num_labelers, num_items)
    offset_V = np.tile(np.arange(overlap), num_items)
    labeler_V = (start_U[item_V] + offset_V) % num_labelers
    truth_U = rng.integers(0, num_choices, num_items)
    guess_V = rng.integers(0, num_choices, len(item_V))
    is_right_V = rng.random(len(item_V)) < skill
    return item_V, labeler_V, np.where(is_right_V, truth_U[item_V], guess_V)


def battles(rng, strengths, num_votes, *, nu=0.0, per_length=0.0, both_bad=0.0):
    """Return votes drawn from Davidson's model, at random pairs and lengths."""
    num = len(strengths)
    a_V = rng.integers(0, num, num_votes)
    b_V = (a_V + rng.integers(1, num, num_votes)) % num
    length_V = rng.uniform(-0.8, 0.8, num_votes)
    half_V = (strengths[a_V] - strengths[b_V] + per_length * length_V) / 2
    weight_VO = np.stack([np.exp(half_V), np.exp(-half_V), nu + 0 * half_V], axis=1)
    edge_VO = (weight_VO / weight_VO.sum(axis=1, keepdims=True)).cumsum(axis=1)
    choice_V = (rng.random((num_votes, 1)) > edge_VO[:, :2]).sum(axis=1)
    is_bad_V = (choice_V == 2) & (rng.random(num_votes) < both_bad)
    return Battles(a_V, b_V, np.where(is_bad_V, 3, choice_V), length_V)
