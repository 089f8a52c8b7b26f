"""Times as people write them: `2026-05-31 14:30`, `yesterday 14:00`, `monday`, `14:10`, `2 h ago`, each with a zone behind it
or without. The grammar is small and closed: what is not in it is refused, and never guessed. A time without a zone is local,
and one without a day is the latest one that is past, or, where one to come is asked for, the next one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from durable_saga.errors import InvalidArgument

TIME_CHARACTERS_MAX = 100
EXAMPLES = "2026-05-31 14:30, yesterday 14:00, monday, 14:10, 2 h ago, or now, with a zone such as UTC or +02:00 behind it"
EXAMPLES_AHEAD = "2026-05-31 14:30, tomorrow 14:00, monday, 14:10, or in 2 h, with a zone such as UTC or +02:00 behind it"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600, "d": 86_400, "day": 86_400, "days": 86_400, "w": 604_800, "week": 604_800,
    "weeks": 604_800,
}  # fmt: skip
_AGO = re.compile(r"(?:\d{1,6} ?[a-z]+ ?)+(?:ago)?")
_PARTS = re.compile(r"(?:\d{1,6} ?[a-z]+ ?)+")
_PART = re.compile(r"(\d{1,6}) ?([a-z]+)")
_ZONE = re.compile(r"(.*?) ?(z|utc|[+-]\d\d:?\d\d|[A-Za-z]+/[A-Za-z_/+-]+)", re.IGNORECASE)
_DAY_AHEAD = re.compile(rf"(?:next )?(today|tomorrow|{'|'.join(_DAYS)})?(?: ?(?:at )?(\d\d?:\d\d(?::\d\d)?))?")
_DAY_AND_TIME = re.compile(rf"(?:last )?(today|yesterday|{'|'.join(_DAYS)})?(?: ?(?:at )?(\d\d?:\d\d(?::\d\d)?))?")


def time_in(text: str, now: datetime, local: tzinfo | None = None) -> datetime:
    """With a zone. `now` has one. `local`: the zone of a time without one, by default that of the system. Raises
    InvalidArgument, which names what can be written."""
    return _found(text, now, local, EXAMPLES, ahead=False)


def time_ahead(text: str, now: datetime, local: tzinfo | None = None) -> datetime:
    """As `time_in()`, of a time to come: `14:10` is the next one. Raises InvalidArgument for a time that is past too."""
    found = _found(text, now, local, EXAMPLES_AHEAD, ahead=True)
    if found < now:
        raise InvalidArgument(f"{text!r} is {shown(found)}, which is past")
    return found


def _found(text: str, now: datetime, local: tzinfo | None, examples: str, *, ahead: bool) -> datetime:
    words = " ".join(text.split())
    found = None
    if words and len(words) <= TIME_CHARACTERS_MAX and words.isascii():
        try:
            found = _read(words, now, local, ahead)
        except (ValueError, OverflowError, KeyError, OSError):
            found = None
    if found is None:
        raise InvalidArgument(f"{text[:TIME_CHARACTERS_MAX]!r} is not a time: write {examples}")
    return found


def shown(when: datetime) -> str:
    """With its zone."""
    return when.strftime("%Y-%m-%d %H:%M:%S %z")


def _read(words: str, now: datetime, local: tzinfo | None, ahead: bool) -> datetime | None:
    low = words.lower()
    if low == "now":
        return now
    if ahead and low.startswith("in ") and _PARTS.fullmatch(low[3:]):
        return now + _span(low[3:])
    if not ahead and _AGO.fullmatch(low):
        return now - _span(low.removesuffix("ago"))
    zone = local
    try:
        whole = datetime.fromisoformat(words)
        return whole if whole.tzinfo is not None else _in(whole, local)
    except ValueError:
        if (match := _ZONE.fullmatch(words)) and match[1]:
            words, zone = match[1], _zone(match[2])
    try:
        return _in(datetime.fromisoformat(words), zone)
    except ValueError:
        pass
    match = (_DAY_AHEAD if ahead else _DAY_AND_TIME).fullmatch(words.lower())
    if match is None or not any(match.groups()):
        return None
    return (_of_day_ahead if ahead else _of_day)(match[1], match[2], zone, now)


def _span(low: str) -> timedelta:
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(low)))


def _clock(at: str | None) -> time:
    return time.fromisoformat(at.rjust(5, "0") if len(at) < 6 else at.rjust(8, "0")) if at else time()


def _of_day_ahead(day: str | None, at: str | None, zone: tzinfo | None, now: datetime) -> datetime:
    local, clock = now.astimezone(zone), _clock(at)
    ahead = {None: 0, "today": 0, "tomorrow": 1}.get(day)
    if ahead is None:
        ahead = (_DAYS.index(str(day)) - local.weekday()) % 7
    found = _in(datetime.combine(local.date() + timedelta(days=ahead), clock), zone)
    if found <= now and day not in ("today", "tomorrow"):
        found = _in(datetime.combine(local.date() + timedelta(days=7 if day else 1), clock), zone)
    return found


def _of_day(day: str | None, at: str | None, zone: tzinfo | None, now: datetime) -> datetime:
    local = now.astimezone(zone)
    clock = _clock(at)
    back = {None: 0, "today": 0, "yesterday": 1}.get(day)
    if back is None:
        back = (local.weekday() - _DAYS.index(str(day))) % 7
    found = _in(datetime.combine(local.date() - timedelta(days=back), clock), zone)
    if found > now and day not in ("today", "yesterday"):
        found = _in(datetime.combine(local.date() - timedelta(days=7 if day else 1), clock), zone)
    return found


def _in(naive: datetime, zone: tzinfo | None) -> datetime:
    if naive.tzinfo is not None:
        return naive
    return naive.astimezone() if zone is None else naive.replace(tzinfo=zone)


def _zone(text: str) -> tzinfo:
    if text.lower() in ("z", "utc"):
        return UTC
    if text[0] in "+-":
        zone = datetime.strptime(text, "%z").tzinfo
        assert zone is not None, "%z reads one"
        return zone
    return ZoneInfo(text)
