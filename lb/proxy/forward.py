"""pick + claim, attempt, and whether to try again: the loop over backends of one request.

The rules are rows 32-38 of docs/reliability.md: a connect failure is tried on every other eligible backend and costs
nothing; anything later only where repeating is safe, within ``retry.attempts`` and the budget.
"""

from __future__ import annotations

from time import monotonic

from gevent import sleep

from lb.errors import AttemptError
from lb.proxy.answer import Answer
from lb.proxy.attempt import attempt
from lb.proxy.deadlines import NEVER, Expired
from lb.proxy.exchange import Exchange
from lb.proxy.member import Member
from lb.proxy.pool import LivePool
from lb.resilience.backoff import full_jitter_s

CAUSES = {"backend_reset": "reset", "backend_timeout": "timeout"}


def forward(exchange: Exchange, pool: LivePool, policy: str) -> Answer:
    """The first answer that stands. ``exchange.member`` stays claimed until ``exchange.release``.

    Raises AttemptError when no backend gave one, RequestError when the client's body was at fault.
    """
    exchange.total_at = exchange.started + pool.pool.timeouts.total_s
    pool.requests += 1
    waiting = exchange.waiting = pool.waiting
    key = exchange.caller.address
    if policy in pool.key_readers:
        key = pool.key_readers[policy](exchange.head) or key
    regional = pool.regional
    if regional is not None and policy in regional.names:
        policy = regional.name_for(policy, exchange.caller.address)
    excluded: list[Member] = []
    failed: AttemptError | None = None
    try:
        while True:
            try:
                if pool.sticky is not None:
                    member = pool.sticky.claim(exchange, pool, policy, key, excluded)
                elif waiting is None:
                    member = pool.pick(policy, key, excluded)
                else:
                    member = waiting.claim(exchange, policy, key, excluded)
            except AttemptError as nobody:
                raise failed or nobody from None
            exchange.member = member
            exchange.is_answering = True
            exchange.attempts += 1
            exchange.attempt_at = monotonic()
            try:
                answer = attempt(exchange, member)
            except AttemptError as error:
                _failed(exchange, pool, member, error)
                failed = error
            except Expired as expired:
                exchange.release()
                if expired.reason != "backend_timeout":
                    raise
                failed = AttemptError("backend_timeout", member.name)
                _failed(exchange, pool, member, failed)
            except BaseException:
                exchange.release()
                raise
            else:
                if member.wants_ejection_s:
                    _eject(pool, member)
                if answer.status < 500:
                    return answer
                excluded.append(member)
                if not _may_retry_status(exchange, pool, answer, excluded):
                    return answer
                exchange.release()
                _rewind(exchange)
                _wait(exchange, pool)
                continue
            if not failed.retry.stale_reuse:
                excluded.append(member)
            if not _may_retry(exchange, pool, failed, excluded):
                raise failed
            exchange.fresh_only = exchange.fresh_only or failed.retry.stale_reuse
            _rewind(exchange)
            if not (failed.retry.nothing_sent or failed.retry.stale_reuse):
                _wait(exchange, pool)
    finally:
        failed = None  # an error and the frame that it was raised through would hold each other


def _failed(exchange: Exchange, pool: LivePool, member: Member, error: AttemptError) -> None:
    exchange.release()
    if error.retry.nothing_sent or error.retry.stale_reuse:
        exchange.free_attempts += 1
    if error.retry.stale_reuse:
        return
    member.wants_ejection_s = member.observe_failure(error.reason, monotonic() - exchange.attempt_at)
    if error.retry.nothing_sent:
        pool.refresh()
    if member.wants_ejection_s:
        _eject(pool, member)


def _eject(pool: LivePool, member: Member) -> None:
    pool.eject(member, member.wants_ejection_s)
    member.wants_ejection_s = 0.0


def _may_retry(exchange: Exchange, pool: LivePool, error: AttemptError, tried: list[Member]) -> bool:
    if monotonic() >= exchange.total_at:
        return False
    if error.retry.nothing_sent:
        return True
    if not exchange.is_replayable:
        return False
    if error.retry.stale_reuse and not exchange.fresh_only:
        return exchange.is_idempotent  # RFC 9110 section 9.2.2: a POST may have been worked on, body or not
    return CAUSES.get(error.reason) in pool.pool.retry.on and _may_repeat(exchange, pool, tried)


def _may_retry_status(exchange: Exchange, pool: LivePool, answer: Answer, tried: list[Member]) -> bool:
    """Whether this 5xx answer is thrown away for another try elsewhere."""
    if str(answer.status) not in pool.pool.retry.on or not exchange.is_replayable:
        return False
    if not _may_repeat(exchange, pool, tried):
        return False
    if answer.reader is not None:
        answer.reader.abort()
    return True


def _may_repeat(exchange: Exchange, pool: LivePool, tried: list[Member]) -> bool:
    """Whether what a backend may have worked on can be sent to another one; takes it from the budget."""
    if not exchange.is_idempotent or exchange.attempts - exchange.free_attempts >= pool.pool.retry.attempts:
        return False
    return bool(pool.left(tried)) and pool.may_retry()


def _wait(exchange: Exchange, pool: LivePool) -> None:
    """Before what a backend failed at is asked of another one: whatever made it fail may be about to make all fail, and
    retries that all come at once are the second blow. Nothing is claimed meanwhile; who has no time left does not wait."""
    retry = pool.pool.retry
    tries = exchange.attempts - exchange.free_attempts
    pause_s = full_jitter_s(tries, base_s=retry.backoff_s, cap_s=retry.backoff_max_s, uniform=pool.random())
    if pause_s > 0.0 and monotonic() + pause_s < exchange.total_at:
        exchange.deadline.at = NEVER  # that of the attempt before
        sleep(pause_s)


def _rewind(exchange: Exchange) -> None:
    """Nothing of the attempt that failed may be left over for the next."""
    exchange.upload = None
    exchange.first_byte_at = 0.0
    if exchange.body is not None:
        exchange.body.replay()
