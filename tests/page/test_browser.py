"""What a person sees and does in a real browser, with a real server and a real worker behind the page."""

from __future__ import annotations

import re
import time
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import SECONDS, Engine
from tests.page.sagas import HOSTILE, HOSTILE_NAME

CONTRAST_MIN = 4.5
_CONTRASTS = """() => {
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) || !one.checkVisibility()) continue;
    let behind = one;
    while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const box = light(rgb(getComputedStyle(behind || document.documentElement).backgroundColor));
    const text = light(rgb(getComputedStyle(one).color));
    found.push([(Math.max(box, text) + 0.05) / (Math.min(box, text) + 0.05), one.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


def go(tab: Page, saga: str, path: str = "/saga") -> None:
    tab.goto(f"{path}?id={quote(saga)}")


def wait_for_status(tab: Page, engine: Engine, saga: str, status: str) -> None:
    """In the engine, and on the page, which is loaded again."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and status != engine.status(saga):
        time.sleep(0.05)
    go(tab, saga)
    expect(tab.locator(".head .badge").first).to_have_text(status)


def row(tab: Page, name: str) -> str:
    return re.sub(r"\s+", " ", tab.get_by_role("row").filter(has_text=name).last.inner_text())


def test_sagas_are_found_by_type_status_key_and_id_and_turned_over_page_by_page(tab: Page, engine: Engine) -> None:
    for number in range(52):
        engine.start("counting", 0, id=f"count-{number}")
    engine.start("paid", "77", id="paid-77")
    engine.start("paid", "78", id="paid-78")
    tab.goto("/?type=counting&status=completed")
    expect(tab.locator(".sagas tbody tr")).to_have_count(50, timeout=SECONDS * 1000)
    first = tab.locator(".sagas tbody .id").first.inner_text()
    tab.get_by_role("link", name="Older").click()
    expect(tab.locator(".sagas tbody tr")).to_have_count(2)
    assert first not in tab.locator(".sagas").inner_text()
    tab.get_by_role("link", name="Newest").click()
    expect(tab.locator(".sagas tbody .id").first).to_have_text(first)
    tab.goto("/")
    tab.get_by_label("Key", exact=True).fill("order=78")
    tab.get_by_role("button", name="Filter").click()
    expect(tab.locator(".sagas tbody .id")).to_have_text(["paid-78"])
    tab.goto("/?type=paid")
    expect(tab.locator(".sagas tbody tr")).to_have_count(2, timeout=SECONDS * 1000)
    tab.get_by_label("Attributes").fill("buyer=b77")
    tab.keyboard.press("Enter")
    expect(tab.locator(".sagas tbody .id")).to_have_text(["paid-77"], timeout=SECONDS * 1000)
    tab.get_by_label("Find a saga by its id").fill("paid-77")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_have_text("paid paid-77")
    expect(tab.get_by_role("link", name="buyer=b77")).to_be_visible()


def test_d8_a_saga_that_failed_shows_its_state_the_users_line_first_and_each_step_with_what_undid_it(
    tab: Page, engine: Engine
) -> None:
    engine.start("place_order", "o2", 900, id="order-2")
    wait_for_status(tab, engine, "order-2", "compensated")
    failure = tab.get_by_role("region", name="Failure").inner_text().split("\n", 1)[1].strip()
    assert re.match(r'File ".*tests/page/sagas\.py", line \d+, in charge\n', failure), failure
    assert failure.endswith("CardDeclined: o2: 900 is over the limit code DECLINED")
    charge = row(tab, "charge")
    assert re.search(r"failed File \".*sagas\.py\", line \d+, in charge tests\.page\.sagas\.CardDeclined: o2", charge), charge
    assert "refund done no. 1 of the undo" in charge
    assert [one.split()[0] for one in tab.locator(".unwind li").all_inner_texts()] == ["refund", "notice", "release", "release"]
    expect(tab.get_by_role("region", name="State")).to_contain_text('{"id": "o2", "amount": 900}')
    assert tab.locator(".bars li").count() == 7


def test_a_childs_steps_stand_below_it_and_its_result_is_shown(tab: Page, engine: Engine) -> None:
    engine.start("place_order", "o1", 100, id="order-1")
    wait_for_status(tab, engine, "order-1", "completed")
    depths = [tab.get_by_role("row").filter(has_text=name).last.locator(".name").get_attribute("class")
              for name in ("charge", "saga packing", "ship")]  # fmt: skip
    assert depths == ["name depth-0", "name depth-0", "name depth-1"]
    expect(tab.locator(".facts").first).to_contain_text('{"payment": "payment-o1", "parcel": "parcel-o1"}')


def test_a_saga_that_goes_on_is_shown_without_a_reload_and_what_did_not_change_is_left_alone(tab: Page, engine: Engine) -> None:
    engine.start("approval", "o4", id="approval-4")
    go(tab, "approval-4")
    expect(tab.get_by_role("region", name="Waits for")).to_have_text(re.compile("A signal or an event"))
    expect(tab.get_by_role("region", name="State")).to_contain_text('"o4"')
    tab.evaluate("window.mark = document.querySelector('[data-live=state]').firstElementChild")
    tab.get_by_role("link", name="Cancel").focus()
    engine.client.handle("approval-4").signal("decide", "granted")
    expect(tab.locator(".head .badge").first).to_have_text("completed", timeout=SECONDS * 1000)
    expect(tab.locator(".facts").first).to_contain_text('"granted"')
    assert tab.evaluate("window.mark.isConnected"), "the state did not change, so its part of the page is the same"
    expect(tab.get_by_role("navigation", name="What can be done").get_by_role("link")).to_have_count(2)


def test_a_fold_stays_open_and_keeps_the_focus_while_the_history_grows(tab: Page, engine: Engine) -> None:
    engine.start("approval", "o5", id="approval-5")
    go(tab, "approval-5", "/saga/history")
    fold = tab.locator("#e0 summary")
    fold.focus()
    tab.keyboard.press("Enter")
    engine.client.handle("approval-5").signal("decide", "no")
    expect(tab.locator(".events")).to_contain_text("the message decide came", timeout=SECONDS * 1000)
    assert tab.locator("#e0 details").evaluate("one => one.open && one.contains(document.activeElement)")


def test_a_saga_is_started_by_keyboard_alone_signalled_and_cancelled_with_a_name_and_a_reason(
    tab: Page, engine: Engine
) -> None:
    tab.goto("/start")
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    for text in ("approval", '["o6"]', "approval-6"):
        tab.keyboard.type(text)
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.locator(".said")).to_have_text("approval was started.")
    tab.get_by_role("link", name="Signal").click()
    tab.get_by_label("Name", exact=True).fill("another")
    tab.get_by_label("Arguments, as JSON").fill("{not json")
    tab.get_by_role("button", name="Send it").click()
    expect(tab.get_by_role("alert")).to_contain_text("The arguments are not JSON")
    tab.get_by_label("Arguments, as JSON").fill('["x"]')
    tab.get_by_role("button", name="Send it").click()
    expect(tab.locator(".said")).to_have_text("The signal another was sent.")
    tab.get_by_role("link", name="Cancel").click()
    tab.get_by_label("Reason").fill("asked by the customer")
    tab.get_by_label("Your name").fill("ann")
    tab.get_by_role("button", name="Cancel the saga").click()
    wait_for_status(tab, engine, "approval-6", "cancelled")
    tab.get_by_role("link", name="History").click()
    expect(tab.locator(".events")).to_contain_text("ann asked to cancel the saga: asked by the customer")
    assert "with 1 messages unread" in tab.locator(".events").inner_text()


def test_an_event_published_by_key_ends_the_wait_and_terminate_wants_a_reason(tab: Page, engine: Engine) -> None:
    engine.start("paid", "9", id="paid-9")
    tab.goto("/publish")
    tab.get_by_label("Event").fill("payment")
    tab.get_by_label("or correlation key").fill("order=9")
    tab.get_by_label("Arguments, as JSON").fill('["EUR 7"]')
    tab.get_by_role("button", name="Publish it").click()
    expect(tab.locator(".said")).to_have_text("The event payment reached 1 saga.")
    wait_for_status(tab, engine, "paid-9", "completed")
    engine.start("sleeper", id="sleeper-1")
    go(tab, "sleeper-1")
    expect(tab.get_by_role("region", name="Waits for")).to_contain_text("A timer at 2", timeout=SECONDS * 1000)
    tab.get_by_role("link", name="Terminate").click()
    tab.get_by_label("Your name").fill("bob")
    tab.get_by_label("Reason").fill(" ")
    tab.get_by_role("button", name="Terminate the saga without undoing anything").click()
    expect(tab.get_by_role("alert")).to_have_text("Give a reason: the history keeps it.")
    tab.get_by_label("Reason").fill("a test")
    tab.get_by_role("button", name="Terminate the saga without undoing anything").click()
    wait_for_status(tab, engine, "sleeper-1", "terminated")


def decide(tab: Page, what: str, button: str, note: str) -> None:
    tab.get_by_role("row").filter(has_text="recall").last.get_by_role("link", name=what).click()
    tab.get_by_label(re.compile("Note|What was done")).fill(note)
    tab.get_by_label("Your name").fill("ann")
    tab.get_by_role("button", name=button).click()


def test_a_stuck_compensation_is_retried_and_resolved_and_another_skipped_with_notes(tab: Page, engine: Engine) -> None:
    engine.start("gets_stuck", "s1", id="stuck-1")
    engine.start("gets_stuck", "s2", id="stuck-2")
    wait_for_status(tab, engine, "stuck-1", "compensation stuck")
    expect(tab.get_by_role("region", name="Waits for")).to_contain_text("A person, who decides about recall.")
    assert re.search(r"recall stuck .*File \".*sagas\.py\", line \d+, in recall", row(tab, "recall"))
    decide(tab, "Retry", "Retry it", "the carrier is back")
    expect(tab.locator(".said")).to_have_text("The compensation is tried again.")
    wait_for_status(tab, engine, "stuck-1", "compensation stuck")
    expect(tab.get_by_role("row").filter(has_text="recall").last).to_contain_text(
        "no. 2 of the undo, 3 attempts", timeout=SECONDS * 1000
    )
    decide(tab, "Resolve", "It was done by hand", "called the carrier")
    wait_for_status(tab, engine, "stuck-1", "compensated")
    go(tab, "stuck-1", "/saga/history")
    told = tab.locator(".events").inner_text()
    assert "ann decided that the compensation of call 2 is to be tried again: the carrier is back" in told
    assert "ann decided that the compensation of call 2 is to count as done by hand: called the carrier" in told
    wait_for_status(tab, engine, "stuck-2", "compensation stuck")
    decide(tab, "Skip", "Skip it and leave the step done", "the parcel is lost")
    wait_for_status(tab, engine, "stuck-2", "compensated")
    assert "recall skipped" in row(tab, "recall")


def test_a_held_saga_is_recovered_and_one_that_waits_is_compensated(tab: Page, engine: Engine) -> None:
    engine.start("careful", "h1", id="held-1")
    engine.start("careful", "h2", id="held-2")
    for saga, status, link, button, becomes in (
        ("held-2", "held", "Compensate", "Compensate the saga", "compensated"),
        ("held-1", "held", "Recover", "Recover the saga", "completed"),
    ):
        wait_for_status(tab, engine, saga, status)
        if link == "Recover":
            (engine.folder / "open-door").touch()
        tab.get_by_role("link", name=link).click()
        tab.get_by_label("Your name").fill("ann")
        tab.get_by_role("button", name=button).click()
        wait_for_status(tab, engine, saga, becomes)


def test_nothing_that_a_saga_holds_is_taken_for_html(tab: Page, engine: Engine) -> None:
    saga = f"id {HOSTILE_NAME} & 'x' \"y\" %2F/?#"
    engine.start(f"type {HOSTILE_NAME}", "x", id=saga)
    wait_for_status(tab, engine, saga, "compensated")
    for path in ("/saga", "/saga/history"):
        go(tab, saga, path)
        assert HOSTILE in tab.locator("main").inner_text()
        assert tab.evaluate("document.title").startswith(("id <script>", "History of id <script>"))
        assert tab.locator("main script, main img").count() == 0
    tab.goto("/")
    tab.get_by_role("link", name=saga).click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text(saga)


def test_runs_that_continued_pages_of_a_history_and_large_values_can_be_looked_at(tab: Page, engine: Engine) -> None:
    engine.start("counting", 2, id="runs")
    engine.start("long_one", 60, id="long")
    engine.start("holds_much", 100_000, id="much")
    wait_for_status(tab, engine, "runs", "completed")
    tab.get_by_role("link", name="Previous run").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("run 2")
    tab.get_by_role("link", name="Previous run").click()
    tab.get_by_role("link", name="Next run (2)").click()
    tab.get_by_role("link", name="Newest run").click()
    wait_for_status(tab, engine, "runs", "completed")
    wait_for_status(tab, engine, "long", "completed")
    tab.get_by_role("link", name="History").click()
    expect(tab.locator(".events tbody tr")).to_have_count(100)
    tab.get_by_role("link", name="Later").first.click()
    expect(tab.locator("#e100")).to_be_visible()
    go(tab, "much")
    expect(tab.get_by_role("region", name="State")).to_contain_text("a value of 100,005 bytes", timeout=SECONDS * 1000)
    tab.get_by_role("link", name="All of it").click()
    assert "x" * 100_000 in tab.locator("body").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_can_be_read_in_light_and_dark(browser: Browser, engine: Engine, scheme: str) -> None:
    for saga, kind in (("look-1", "gets_stuck"), ("look-2", "careful"), ("look-3", "approval")):
        engine.start(kind, saga, id=saga)
    context = browser.new_context(
        base_url=engine.page, color_scheme="dark" if scheme == "dark" else "light", is_mobile=True,
        viewport={"width": 360, "height": 700},
    )  # fmt: skip
    tab = context.new_page()
    wait_for_status(tab, engine, "look-1", "compensation stuck")
    for path in (
        "/", "/start", "/publish", "/saga?id=look-1", "/saga?id=look-2", "/saga?id=look-3", "/saga/history?id=look-1",
        "/saga/do/resolve?id=look-1&call=2", "/saga/do/terminate?id=look-3", "/saga/signal?id=look-3", "/saga?id=no-such",
    ):  # fmt: skip
        tab.goto(path)
        wider = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, path
        found = tab.evaluate(_CONTRASTS)
        assert len(found) > 5
        assert [one for one in found if one[0] < CONTRAST_MIN] == [], path
    context.close()


def test_what_can_be_seen_works_without_scripts(browser: Browser, engine: Engine) -> None:
    engine.start("approval", "plain", id="plain")
    context = browser.new_context(base_url=engine.page, java_script_enabled=False)
    tab = context.new_page()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and "done" not in tab.content():
        go(tab, "plain")
    tab.get_by_role("link", name="Signal").click()
    tab.get_by_label("Name", exact=True).fill("decide")
    tab.get_by_role("button", name="Send it").click()
    expect(tab.locator(".said")).to_have_text("The signal decide was sent.")
    context.close()
