# SPDX-License-Identifier: Apache-2.0
"""A page in Debian's Chromium: browser.py PAGE FOLDER LOOK... leaves a screenshot of each look in the folder, and
prints as JSON what a person would meet there. A look is "WIDTH SCHEME [no-script]". test_html.py runs this by the
Python of an environment that has playwright and axe-playwright-python."""
import json
import pathlib
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

HEIGHTS = {1280: 900, 390: 844}  # by width: a desk, a telephone


def column(page, section, number):
    return page.locator(f"#{section} tbody tr > :nth-child({number})").all_inner_texts()


def sorted_by_keyboard(page):
    """The launches of the sites, and what the heading says: as they were, and after each Enter on the heading."""
    head = page.locator("#sites thead th", has_text="launches")
    steps = [(head.get_attribute("aria-sort"), column(page, "sites", 4))]
    page.locator("#sites").get_by_role("button", name="launches").focus()
    for _ in range(2):
        page.keyboard.press("Enter")
        steps.append((head.get_attribute("aria-sort"), column(page, "sites", 4)))
    return steps


def look(browser, address, folder, how):
    width, scheme, *no_script = how.split()
    context = browser.new_context(viewport={"width": int(width), "height": HEIGHTS[int(width)]}, color_scheme=scheme,
                                  java_script_enabled=not no_script)
    page, messages, requests = context.new_page(), [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.screenshot(path=folder / f"{pathlib.Path(address).stem}-{how.replace(' ', '-')}.png", full_page=True)
    seen = {"messages": messages, "requests": requests, "tree": page.locator("body").aria_snapshot(),
            "buttons": page.get_by_role("button").count()}
    if not no_script:
        seen["wider"] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        seen["violations"] = [f"{found['id']}: {node['html']}" for found in Axe().run(page).response["violations"]
                              for node in found["nodes"]]
        seen["sorted"] = sorted_by_keyboard(page)
    context.close()
    return seen


def main(page, folder, *looks):
    address, folder = pathlib.Path(page).resolve().as_uri(), pathlib.Path(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        json.dump({how: look(browser, address, folder, how) for how in looks}, sys.stdout)
        browser.close()


main(*sys.argv[1:])
