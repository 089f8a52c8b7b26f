"""What the page shows of many sagas: filters, groups of trouble, workers."""

from __future__ import annotations

from urllib.parse import urlencode

from tests.page.conftest import Engine
from tests.page.test_guards import ask


def test_the_list_is_filtered_by_what_sagas_do_and_says_how_it_understood_a_time(engine: Engine) -> None:
    asked = urlencode({"state": "retrying", "since": "yesterday 14:00", "until": "2 h ago", "prefix": "o-"})
    shown = ask(engine.page, f"/?{asked}")
    assert shown.status == 200
    assert "14:00:00 +0000" in shown.text
    assert 'value="yesterday 14:00"' in shown.text
    assert "No saga matches this filter." in shown.text


def test_a_time_that_is_none_and_a_state_that_there_is_not_are_refused_with_what_can_be_written(engine: Engine) -> None:
    for name, text in (("since", "soon"), ("state", "bored")):
        shown = ask(engine.page, f"/?{urlencode({name: text})}")
        assert shown.status == 400
        assert "yesterday 14:00" in shown.text if name == "since" else "retrying" in shown.text


def test_workers_and_trouble_are_pages_of_their_own(engine: Engine) -> None:
    engine.client.start("nobodys-type", "o-1")
    shown = ask(engine.page, "/workers")
    assert shown.status == 200
    assert "nobodys-type" in shown.text
    assert "no worker runs it" in shown.text
    assert ask(engine.page, "/trouble").status == 200
