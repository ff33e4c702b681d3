"""Limits hold however many ask at the same moment, and forget who died."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from trivium.accounts.models import ApiToken, User
from trivium.openai import limits
from trivium.openai.errors import ApiError
from trivium.openai.limits import Caller, admit_call, end_call, renew_call
from trivium.openai.models import ApiCall


@pytest.fixture
def caller(bob: User) -> Caller:
    token = ApiToken.objects.create(user=bob, name="t", prefix="tv_", sha256="0")
    return Caller(bob, token)


def is_admitted(caller: Caller) -> bool:
    try:
        admit_call(caller)
    except ApiError as error:
        return error.status != 429
    return True


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_moment_no_more_are_admitted_than_may(
    transactional_db, caller, settings
):
    settings.API_MAX_CONCURRENT = 3
    together = threading.Barrier(8)
    admitted: list[bool] = []

    def ask() -> None:
        together.wait(20)
        try:
            admitted.append(is_admitted(caller))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(admitted) == [False] * 5 + [True] * 3


def test_a_call_whose_process_died_is_forgotten(caller, settings):
    settings.API_MAX_CONCURRENT = 1
    call = admit_call(caller)
    assert not is_admitted(caller)
    ApiCall.objects.update(alive_until=timezone.now() - timedelta(seconds=1))
    assert is_admitted(caller)
    renew_call(call)
    assert not is_admitted(caller)


def test_a_call_that_ended_makes_room_and_keeps_its_first_count(caller, settings):
    settings.API_MAX_CONCURRENT = 1
    call = admit_call(caller)
    end_call(call, tokens=5)
    end_call(call, tokens=50)
    assert ApiCall.objects.get().tokens == 5
    assert is_admitted(caller)


def test_one_may_come_back_when_one_is_told_to(caller, settings):
    settings.API_REQUESTS_PER_MINUTE = 1
    call = admit_call(caller)
    ApiCall.objects.update(started=timezone.now() - timedelta(seconds=45))
    with pytest.raises(ApiError) as caught:
        admit_call(caller)
    assert 14 <= caught.value.retry_after_s <= 16
    ApiCall.objects.update(started=call.started - timedelta(seconds=61))
    assert is_admitted(caller)


def test_old_calls_are_swept_out(caller, monkeypatch):
    monkeypatch.setattr(limits, "CLEAN_EVERY", 1)
    call = admit_call(caller)
    end_call(call, tokens=1)
    long_ago = timezone.now() - timedelta(hours=2)
    ApiCall.objects.update(ended=long_ago, started=long_ago)
    admit_call(caller)
    assert not ApiCall.objects.filter(pk=call.pk).exists()
    assert ApiCall.objects.count() == 1


def test_a_token_has_limits_of_its_own(bob, caller, settings):
    settings.API_TOKEN_MAX_CONCURRENT = 1
    other = ApiToken.objects.create(user=bob, name="u", prefix="tv_", sha256="1")
    assert is_admitted(caller)
    with pytest.raises(ApiError, match="1 requests at once for each token") as caught:
        admit_call(caller)
    assert caught.value.retry_after_s == 1
    assert is_admitted(Caller(bob, other))
    settings.API_MAX_CONCURRENT = 2
    settings.API_TOKEN_MAX_CONCURRENT = 9
    with pytest.raises(ApiError, match="2 requests at once for each person"):
        admit_call(caller)
