"""The page of builds in a real browser, beside workers of two builds: what it shows, and a roll-out by its form."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.demo.processes import Process
from tests.page.conftest import SECONDS, Engine
from tests.page.test_browser import _CONTRASTS, CONTRAST_MIN
from tests.page.test_guards import ask

NEW = "2026-11-28.1"
HOSTILE_BUILD = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def old(engine: Engine) -> Iterator[str]:
    """The name of the build of the engine's worker; a worker of NEW is there too. No roll-out is left behind."""
    worker = Process("new", ["-m", "durable_saga", "worker", "tests.page.sagas", "--build", NEW], engine.folder, "worker")
    worker.start({"DURABLE_SAGA_URL": engine.url, "PAGE_TEST_FOLDER": str(engine.folder)})
    yield next(one.name for one in engine.client.builds() if one.workers and one.name != NEW)
    for kind in ("sleeper", "no-such-type"):
        engine.client.roll_out(None, type=kind)
    assert worker.stop() == 0


def fill(tab: Page, build: str, share: str, kind: str = "sleeper", who: str = "ann") -> None:
    for label, text in (("Build", build), ("Share of new sagas", share), ("Your name", who)):
        tab.get_by_label(label, exact=True).fill(text)
    tab.get_by_label("Type (may be empty)").fill(kind)
    tab.get_by_label("Reason").fill("canary")
    tab.get_by_role("button", name="Roll it out").click()


def shares(engine: Engine, build: str) -> dict[str, float]:
    return next(one.shares for one in engine.client.builds() if one.name == build)


def test_a_build_gets_a_share_of_the_new_sagas_of_a_type_is_shown_with_it_and_the_roll_out_ends(
    tab: Page, engine: Engine, old: str
) -> None:
    tab.goto("/")
    tab.get_by_role("link", name="Builds").click()
    of_builds = tab.get_by_role("table", name="Builds, with their workers and sagas")
    for build in (old, NEW):
        expect(of_builds.get_by_role("row").filter(has_text=build)).to_contain_text("sleeper")
    assert tab.get_by_role("button", name="End the roll-out").count() == 0
    fill(tab, old, "100%")
    fill(tab, NEW, "5%")
    expect(tab.locator(".said")).to_have_text(f"{NEW}: 5% of new sagas of type sleeper begin with it, the others with {old}.")
    assert shares(engine, NEW) == {"sleeper": 0.05}
    expect(of_builds.get_by_role("row").filter(has_text=NEW)).to_contain_text("sleeper 5%")
    rolled = tab.get_by_role("table", name="Roll-outs, by type of saga").get_by_role("row").last
    expect(rolled).to_contain_text(re.compile(f"5% of sleeper.*{re.escape(NEW)}.*{re.escape(old)}.*ann.*canary", re.DOTALL))
    engine.client.roll_out(NEW, share=0.2, type="sleeper", who="bob")
    expect(rolled).to_contain_text("20% of sleeper", timeout=SECONDS * 1000)  # without a reload
    tab.get_by_label("Type (may be empty)").fill("sleeper")
    tab.get_by_role("button", name="End the roll-out").click()
    expect(tab.locator(".said")).to_have_text("New sagas of type sleeper begin with any build that has room.")
    assert shares(engine, NEW) == {}


@pytest.mark.parametrize(
    ("build", "share", "kind", "told"),
    [
        (NEW, "half", "sleeper", "'half' is no share: use 0% to 100%, such as 5%, or 0.05"),
        (NEW, "120%", "sleeper", "'120%' is no share"),
        (NEW, "5", "sleeper", "'5' is no share"),
        (NEW, "nan", "sleeper", "'nan' is no share"),
        (NEW, "1", "sleeper", "1 may be 1% or all of them: write 1% or 100%."),
        (HOSTILE_BUILD, "5%", "sleeper", "The builds are: "),
    ],
)
def test_what_is_refused_is_said_beside_the_form_which_keeps_what_was_typed(
    tab: Page, engine: Engine, old: str, build: str, share: str, kind: str, told: str
) -> None:
    tab.set_viewport_size({"width": 390, "height": 700})
    tab.goto("/builds")
    fill(tab, build, share, kind)
    alert = tab.locator("#roll-out").get_by_role("alert")
    expect(alert).to_contain_text(told)
    expect(alert).to_be_in_viewport()
    typed = [tab.get_by_label(label, exact=True).input_value() for label in ("Build", "Share of new sagas", "Your name")]
    assert typed == [build, share, "ann"]
    assert tab.get_by_label("Reason").input_value() == "canary"
    assert tab.locator("main img").count() == 0
    assert shares(engine, NEW) == {}


def test_a_form_of_another_site_or_for_a_roll_out_that_there_is_not_changes_nothing(engine: Engine, old: str) -> None:
    form = ask(engine.page, "/builds")
    fields = {"build": NEW, "share": "100%", "type": "sleeper", "who": "eve", "form_token": form.form_token}
    for given, headers in (
        ({"form_token": ""}, {}),
        ({}, {"origin": "http://evil.example"}),
        ({}, {"sec_fetch_site": "cross-site"}),
    ):
        assert ask(engine.page, "/builds", {**fields, **given}, cookie=form.cookie, **headers).status == 403
    for given, told in (({"end": "1"}, "There is no roll-out of the type sleeper"), ({"who": ""}, "Give your name")):
        answer = ask(engine.page, "/builds", {**fields, **given}, cookie=form.cookie)
        assert (answer.status, told in answer.text) == (400, True)
    assert shares(engine, NEW) == {}


def test_a_build_whose_workers_lack_the_type_is_said_to_wait_for_one(tab: Page, engine: Engine, old: str) -> None:
    tab.goto("/builds")
    fill(tab, NEW, "100%", "no-such-type")
    warning = f"No worker with build {NEW} is connected for sagas of type no-such-type"
    expect(tab.locator(".said")).to_contain_text(warning)
    expect(tab.locator(".warns")).to_contain_text(warning)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_from_a_phone_to_a_wide_screen_in_light_and_dark_and_used_without_scripts(
    browser: Browser, engine: Engine, old: str, scheme: str
) -> None:
    engine.client.roll_out(NEW, share=0.05, type="sleeper", reason="a canary " * 20, who="ann")
    context = browser.new_context(base_url=engine.page, color_scheme="dark" if scheme == "dark" else "light")
    tab = context.new_page()
    for width in (360, 390, 768, 1280, 1920):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.goto("/builds")
        assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, width
        assert [one for one in tab.evaluate(_CONTRASTS) if one[0] < CONTRAST_MIN] == [], width
    context.close()
    context = browser.new_context(base_url=engine.page, java_script_enabled=False)
    tab = context.new_page()
    tab.goto("/builds")
    fill(tab, NEW, "0%")
    expect(tab.locator(".said")).to_contain_text(f"{NEW}: 0% of new sagas of type sleeper begin with it")
    context.close()
    engine.client.roll_out(None, type="sleeper")
