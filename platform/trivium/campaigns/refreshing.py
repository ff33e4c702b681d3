"""Keeping reports fresh, and campaigns in order while nobody looks.

A page of a small campaign computes what is old at once. Of a large one the page shows
what there is and asks for newer; a thread of the worker does that, one at a time.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from django.db import DatabaseError, close_old_connections
from django.db.models import Q, Sum
from django.utils import timezone

from trivium.campaigns.arrays import votes_of
from trivium.campaigns.making import pause_campaign
from trivium.campaigns.models import Campaign, Item, Report
from trivium.campaigns.reports import refresh_report
from trivium.runs.errors import SubmitError
from trivium.statistics.choosing import margin_scores

logger = logging.getLogger(__name__)

SMALL = 3_000
"""Votes of which a request computes the report itself."""
LOOK_S = 3.0
TEND_S = 15.0
REST_TIMES = 5
"""After a report took some time, it rests that many times as long."""
LEAST_REST = timedelta(seconds=10)
AT_ONCE = 1_000
"""Rows written in one go: labelers write to the same table meanwhile."""
LEAST_CHANGE = 0.1
"""Of a priority, as a share of it; below it the order hardly changes."""


class Shown(NamedTuple):
    """A report as a page shows it."""

    values: dict[str, Any]
    computed: datetime | None
    num_newer: int
    """Votes that came since, about."""
    is_coming: bool
    """Whether a newer one was asked for."""

    @property
    def seen(self) -> str:
        """What tells this one from a newer one, for an address."""
        return self.computed.isoformat() if self.computed else ""


def report_for(campaign: Campaign) -> Shown:
    """Return a campaign's report: a fresh one where that is quick, or what there is."""
    report = Report.objects.filter(campaign=campaign).first()
    standing = standing_in(campaign)
    if standing <= SMALL and is_old(campaign, report):
        report = refresh_report(campaign)
    known = report.values.get("standing") if report is not None else None
    if report is None or known is None:
        ask_for_report(campaign)
        return Shown({}, None, standing, is_coming=True)
    is_stale = standing > SMALL and (standing != known or report.num_votes == 0)
    if is_stale and report.asked is None:
        ask_for_report(campaign)
    return Shown(report.values, report.computed, abs(standing - known), is_stale)


def standing_in(campaign: Campaign) -> int:
    """Count the standing first votes, by the tallies of items."""
    return campaign.items.aggregate(total=Sum("num_votes"))["total"] or 0


def has_its_votes(campaign: Campaign) -> bool:
    """Whether a campaign has as many votes as it shall end with."""
    target = campaign.target_votes
    return target is not None and standing_in(campaign) >= target


def is_old(campaign: Campaign, report: Report | None) -> bool:
    """Whether votes came, or items changed, since a report; counts votes."""
    if report is None or report.computed is None:
        return True
    return votes_of(campaign).count() != report.num_votes


def ask_for_report(campaign: Campaign) -> None:
    """Ask the worker for a newer report."""
    now = timezone.now()
    Report.objects.get_or_create(campaign=campaign, defaults={"asked": now})
    Report.objects.filter(campaign=campaign, asked=None).update(asked=now)


def refresh_asked() -> int:
    """Compute the reports that were asked for and are old; return how many."""
    done = 0
    for report in Report.objects.exclude(asked=None).order_by("asked"):
        if is_resting(report):
            continue
        # Of two workers one takes it; should it die, the next page asks again.
        if not Report.objects.filter(pk=report.pk, asked=report.asked).update(
            asked=None
        ):
            continue
        if is_old(report.campaign, report):
            fresh = refresh_report(report.campaign)
            logger.info(
                "Report of campaign %s took %.1f s", fresh.campaign_id, fresh.seconds
            )
            done += 1
    return done


def is_resting(report: Report) -> bool:
    """Whether a report is so new, for what it takes, that it can wait."""
    if report.computed is None:
        return False
    rest = max(LEAST_REST, timedelta(seconds=REST_TIMES * report.seconds))
    return report.num_votes > 0 and timezone.now() - report.computed < rest


def tend_campaigns() -> None:
    """Pause campaigns that have their votes, and order the queues of others."""
    for campaign in Campaign.objects.filter(state=Campaign.State.OPEN):
        if has_its_votes(campaign):
            pause_done(campaign)
        else:
            update_priorities(campaign)


def pause_done(campaign: Campaign) -> None:
    """Pause a campaign that has its votes, unless somebody was quicker."""
    with contextlib.suppress(SubmitError):
        pause_campaign(campaign)
        logger.info("Campaign %s has its votes and is paused", campaign.pk)


def update_priorities(campaign: Campaign) -> int:
    """Write what the policy makes of each open item; return how many changed."""
    if campaign.policy == Campaign.Policy.MARGIN:
        return sum(
            write_priority(pks, value) for value, pks in changed_margins(campaign)
        )
    if campaign.policy == Campaign.Policy.UNCERTAINTY:
        report = Report.objects.filter(campaign=campaign).first()
        if is_old(campaign, report):
            ask_for_report(campaign)
        unsure = report.values.get("unsure", ()) if report is not None else ()
        return sum(
            write_priority(pks, score)
            for one, other, score in unsure
            for pks in of_pair(campaign, one, other, score)
        )
    return 0


def changed_margins(campaign: Campaign) -> Iterator[tuple[float, list[int]]]:
    """Yield priorities that margins ask for and items do not have yet.

    Rounded to hundredths, so that many items are written at once.
    """
    rows = campaign.items.filter(is_open=True).exclude(margin=None)
    found = list(rows.values_list("pk", "margin", "priority").iterator())
    scores = margin_scores(np.array([margin for _, margin, _ in found], np.float64))
    groups: dict[float, list[int]] = {}
    for (pk, _, priority), score in zip(found, scores.round(2).tolist(), strict=True):
        if abs(score - priority) > LEAST_CHANGE * score:
            groups.setdefault(score, []).append(pk)
    yield from groups.items()


def of_pair(
    campaign: Campaign, one: int, other: int, score: float
) -> Iterator[list[int]]:
    """Yield the open items of two answerers whose priority is another, in parts."""
    pair = Q(answerer_a=one, answerer_b=other) | Q(answerer_a=other, answerer_b=one)
    rows = campaign.items.filter(pair, is_open=True).exclude(
        priority__range=(score * (1 - LEAST_CHANGE), score * (1 + LEAST_CHANGE))
    )
    pks = list(rows.values_list("pk", flat=True))
    if pks:
        yield pks


def write_priority(pks: list[int], priority: float) -> int:
    """Give items a priority, a few at a time."""
    return sum(
        Item.objects.filter(pk__in=pks[at : at + AT_ONCE]).update(priority=priority)
        for at in range(0, len(pks), AT_ONCE)
    )


class Refresher(threading.Thread):
    """Computes what was asked for, one report at a time, until stopped."""

    def __init__(self) -> None:
        """Prepare; `start()` begins."""
        super().__init__(name="refresher", daemon=True)
        self._stopped = threading.Event()
        self._tended = 0.0

    def run(self) -> None:
        """Look every few seconds; a database that is away is tried again."""
        while not self._stopped.wait(LOOK_S):
            try:
                close_old_connections()
                refresh_asked()
                if time.monotonic() - self._tended >= TEND_S:
                    self._tended = time.monotonic()
                    tend_campaigns()
            except DatabaseError as error:
                logger.warning("Refreshing failed, will be tried again: %s", error)
            except Exception:
                logger.exception("A report could not be computed")
        close_old_connections()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopped.set()
