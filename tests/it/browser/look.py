"""Looks at pages as people see them, and says what is wrong, one JSON line for each page.

Reads from standard input: the browser, axe's script, a folder for pictures, the gateway's URL, and the pages.
"""

import json
import os
import sys

from playwright.sync_api import sync_playwright

# Pixels. The narrowest is WCAG 2.2's for reflow (1.4.10), the widest a 4K screen; in between, those of which
# pictures are taken.
WIDTHS = [320, 390, 1024, 1920, 3840]
PICTURED = [390, 1024, 1920]
SCHEMES = ["light", "dark"]

# How often it is looked whether something holds, a tenth of a second apart.
HOLDS_TRIES = 100

# Violations are noted before the page's own content is read.
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', event =>
    window.violations.push(event.effectiveDirective + ' ' + event.blockedURI));
"""

# What reaches out of the window, unless it can be scrolled to within something, and what is not there for the
# eye.
OVERFLOW = """() => {
    const wide = document.documentElement.clientWidth;
    const found = [];
    if (document.documentElement.scrollWidth > wide)
        found.push('the page is ' + document.documentElement.scrollWidth + ' wide');
    for (const element of document.querySelectorAll('body *')) {
        const box = element.getBoundingClientRect();
        if (box.width === 0 || box.right <= wide + 1 || element.closest('.wide, .skip')) continue;
        found.push(element.tagName + '.' + element.className + ' ends at ' + Math.round(box.right));
    }
    return found.slice(0, 5);
}"""

# Words of letters that stand on two lines. Names of files and code may be broken where nothing else helps.
BROKEN = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.parentElement.closest('code, pre, .name, .skip, select')) continue;
        for (const word of node.data.matchAll(/[A-Za-z]{2,}/g)) {
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
            if (tops.size > 1) found.push(word[0] + ' in ' + node.data.trim().slice(0, 40));
        }
    }
    return found.slice(0, 5);
}"""

# It asks for style sheets itself, which a page without an origin may not.
AXE = """async (is_foreign) => {
    const result = await axe.run(document, {preload: !is_foreign, resultTypes: ['violations', 'incomplete']});
    const told = (kind, one) => kind + ' ' + one.id + ': ' + one.nodes.slice(0, 3)
        .map(node => node.html.slice(0, 160) + ' (' + (node.any[0] || node.all[0] || {message: ''}).message + ')').join(' | ');
    // What a wide table has out of sight cannot be decided.
    const seen = node => !document.querySelector(node.target[0]).closest('.wide');
    const contrast = result.incomplete.filter(one => one.id === 'color-contrast' && one.nodes.some(seen));
    return result.violations.map(one => told('axe', one)).concat(contrast.map(one => told('undecided', one)));
}"""

# Where the Tab key goes on from is where the focus was last.
TO_THE_TOP = """() => {
    const top = document.createElement('span');
    top.tabIndex = -1;
    document.body.prepend(top);
    top.focus();
    top.remove();
}"""

# The first stop of the Tab key has to be visible, and to have an outline.
SKIP = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    return one.matches('.skip') && box.left >= 0 && box.right > 0 && style.outlineStyle !== 'none';
}"""


def look(browser, asked, page_asked, scheme):
    """Each width of one load: a page flows anew when its window changes, as that of a telephone does."""
    wrong = []
    context = browser.new_context(
        viewport={"width": WIDTHS[0], "height": 900}, color_scheme=scheme, reduced_motion="reduce",
        extra_http_headers=page_asked.get("headers", {}),
    )
    page = context.new_page()
    page.add_init_script(WATCH)
    page.on("console", lambda line: wrong.append("console: " + line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append("script: " + str(error)))
    answer = page.goto(page_asked.get("url", asked["url"]) + page_asked["path"], wait_until="load")
    if answer.status != page_asked["status"]:
        wrong.append("status %d" % answer.status)
    # A browser reports the status of a page that was asked for on purpose.
    wrong[:] = [one for one in wrong if "server responded with a status" not in one]
    holds = page_asked.get("holds", "true")
    # Scripts of the page may still be at work.
    for _ in range(HOLDS_TRIES):
        if page.evaluate(holds):
            break
        page.wait_for_timeout(100)
    else:
        wrong.append("does not hold: %s, on %s" % (holds, page.inner_text("body")))
    page.evaluate(asked["axe"])
    for width in WIDTHS:
        found = at_width(asked, page_asked, page, width, scheme)
        wrong += ["%d: %s" % (width, one) for one in found]
    wrong += ["blocked: " + one for one in page.evaluate("window.violations")]
    # What a page of a stranger tries and its policy stops is reported, and has to be.
    stopped = page_asked.get("stopped", [])
    wrong += ["not stopped: " + one for one in stopped if not any(one in told for told in wrong)]
    passed_over = stopped + page_asked.get("noise", [])
    context.close()
    return [told for told in wrong if not any(one in told for one in passed_over)]


def at_width(asked, page_asked, page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    wrong = page.evaluate(OVERFLOW) + page.evaluate(BROKEN)
    if width not in PICTURED:
        return wrong
    wrong += page.evaluate(AXE, bool(page_asked.get("is_foreign")))
    picture = "%s-%d-%s.png" % (page_asked["name"], width, scheme)
    page.screenshot(path=os.path.join(asked["pictures"], picture), full_page=True)
    if page_asked.get("is_foreign"):
        return wrong
    # From the top of the page, as whoever has just opened it.
    page.evaluate(TO_THE_TOP)
    page.keyboard.press("Tab")
    if not page.evaluate(SKIP):
        wrong.append("the first stop of Tab is not the visible way to the content")
    page.evaluate("document.activeElement.blur()")
    return wrong


def printed(browser, asked, page_asked):
    """On paper: nothing beyond the edge."""
    context = browser.new_context(
        viewport={"width": 718, "height": 1000}, extra_http_headers=page_asked.get("headers", {})
    )
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto(page_asked.get("url", asked["url"]) + page_asked["path"])
    wrong = page.evaluate(OVERFLOW)
    context.close()
    return wrong


def main():
    asked = json.load(sys.stdin)
    asked["axe"] = open(asked["axe"], encoding="utf-8").read()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=asked["browser"],
            env={**os.environ, "LD_LIBRARY_PATH": asked["libraries"]},
            # Everything is on this machine, and nothing else is to be asked.
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        for one in asked["pages"]:
            wrong = {}
            for scheme in SCHEMES:
                found = look(browser, asked, one, scheme)
                if found:
                    wrong[scheme] = found
            found = printed(browser, asked, one)
            if found:
                wrong["print"] = found
            print(json.dumps({"page": one["name"], "wrong": wrong}), flush=True)
        browser.close()


main()
