"""pages.py BUILD [PICTURES]: opens the pages that the programs write in Chromium, as people do: with a pointer, with
keys, on a telephone, in the dark. With a folder PICTURES it leaves there what it saw. run.sh calls it."""
import os, re, shutil, struct, subprocess, sys, tempfile, traceback, zlib
from browser import Browser

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
PICTURES = sys.argv[2] if len(sys.argv) > 2 else None
folder = tempfile.TemporaryDirectory()
at = lambda name: os.path.join(folder.name, name)

# What a checker of accessibility asks first: names, labels, the order of headings, contrast (WCAG 2.2: 4.5 to 1).
FAULTS = r"""(() => {
  const faults = [], say = (what, e) => faults.push(what + ": " + e.outerHTML.slice(0, 120));
  const name = (e) => (e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent || "").trim();
  for (const e of document.querySelectorAll("button, input, summary, a[href], [role=slider], [role=region]")) if (!name(e)) say("no name", e);
  for (const e of document.querySelectorAll("img:not([alt])")) say("no alt", e);
  for (const e of document.querySelectorAll("svg:not([role]):not([aria-hidden]):not(svg svg)")) say("a picture without role", e);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size !== ids.length) faults.push("an id twice");
  let before = 0;
  for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
    if (+e.tagName[1] > before + 1) say("a heading too deep", e);
    before = +e.tagName[1];
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (!document.documentElement.lang || !document.title) faults.push("no language or no title");
  const numbers = (c) => c.match(/[\d.]+/g).map(Number), part = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const ground = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); layers.push(c); if ((c[3] ?? 1) === 1) break; }
    return layers.reverse().reduce((under, [r, g, b, a = 1]) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a)), [255, 255, 255]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t; (t = walker.nextNode());) {
    const e = t.parentElement, style = getComputedStyle(e);
    if (!t.data.trim() || !e.checkVisibility() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(e.tagName)) continue;
    const [a, b] = [light(numbers(e.namespaceURI.endsWith("svg") ? style.fill : style.color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.45) say("contrast " + ((a + .05) / (b + .05)).toFixed(2), e);
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
  return [...new Set(faults)];
})()"""


def look_at(browser, page, name):
    """At three widths, light and dark and on paper, a page has no fault, and writes nothing to the console."""
    if shutil.which("tidy"):  # which does not know aria-current
        said = subprocess.run(["tidy", "-q", "-e", "--warn-proprietary-attributes", "no", page], capture_output=True, text=True)
        assert not said.stderr, (name, said.stderr[:500])
    for width, dark, media in ((1100, False, ""), (768, True, ""), (360, False, ""), (360, True, ""), (800, False, "print")):
        browser.look(width, 800, dark, media)
        browser.open(page)
        browser.run("new Promise(done => setTimeout(done, 100))")
        assert not browser.messages, browser.messages
        faults = browser.run(FAULTS)
        assert not faults, (name, width, dark, faults[:5])
        if PICTURES:
            browser.picture(os.path.join(PICTURES, f"{name}-{media or width}{'-dark' * dark}.png"))
    browser.look(1000)
    browser.open(page)


def program(*words):
    done = subprocess.run([os.path.join(BUILD, words[0]), *words[1:]], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def write_png(path, side, value):
    rows = b"".join(b"\0" + bytes(min(value + 5 * x, 255) for x in range(side)) for _ in range(side))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def train(name, epochs, lr):
    program("train", "--preset", "quick", "--img-size", "8", "--patch-size", "4", "--num-hiddens", "8", "--mlp-num-hiddens",
            "8", "--num-heads", "2", "--num-blks", "2", "-b", "4", "--threads", "1", "--epochs", str(epochs), "--lr", lr,
            "--data-dir", at("data"), "--output-dir", at(name))


def make_runs():
    for i in range(24):
        write_png(at(f"data/{('<b>dark & deep', 'light')[i % 2]}/{i}.png"), 8, 2 * i if i % 2 == 0 else 200 + i)
    train("one", 4, "0.01")
    train("two", 6, "0.02")


def test_report(browser):
    look_at(browser, at("one/report.html"), "report")
    left, top, width = browser.run("(r => [r.left, r.top, r.width])(document.querySelector('.chart svg').getBoundingClientRect())")
    browser.point(left + 52 + (width - 62) * 2 / 4, top + 50)
    want = [line.split(",") for line in open(at("one/metrics.csv"))][2]
    said = browser.run("document.querySelector('.legend').textContent")
    assert browser.run("slider.value") == "2"
    assert float(re.search(r"train_loss ([\d.]+)", said)[1]) == float("%.4g" % float(want[2])), (said, want)
    browser.run("slider.focus()")
    browser.press("ArrowRight")
    assert browser.run("slider.getAttribute('aria-valuetext')").startswith("epoch 3: train_loss ")
    assert browser.run("document.querySelectorAll('.pictures img').length > 0 || !document.body.textContent.includes('worst')")
    assert browser.run("[...document.images].every(i => i.naturalWidth > 0)")
    assert browser.run("!document.querySelector('th b')")


def test_report_while_training(browser):
    page = open(at("one/report.html")).read().replace('"training":false', '"training":true').replace(
        '"overdue":0.0', '"overdue":9').replace('id="status">', 'id="status"><span id="left"></span>'
        '<button type="button" id="pause" aria-pressed="false">Pause reloading</button>')
    with open(at("training.html"), "w") as file:
        file.write(page)
    browser.open(at("training.html"))
    assert "left" in browser.run("left.textContent") or "killed" in browser.run("left.textContent")
    browser.run("pause.click()")
    assert browser.run("pause.getAttribute('aria-pressed')") == "true"
    browser.open(at("training.html"))
    assert browser.run("pause.getAttribute('aria-pressed')") == "true"  # it is remembered
    browser.run("window.same = true; pause.click()")
    browser.run("new Promise(done => setTimeout(done, 9000))")
    browser.loaded = False
    for _ in range(20):
        if browser.loaded:
            break
        browser.receive(0.5)
    assert browser.loaded and browser.run("window.same === undefined")  # it has loaded itself
    assert not browser.messages, browser.messages


def test_runs_side_by_side(browser):
    program("plot", "--html", at("one"), at("two"), "-o", at("runs.html"))
    look_at(browser, at("runs.html"), "runs")
    assert browser.run("document.querySelectorAll('.chart')[1].querySelectorAll('path[d^=M][clip-path]').length") == 2
    browser.run("document.querySelector('fieldset input').click()")
    assert browser.run("document.querySelectorAll('.chart')[1].querySelectorAll('path[d^=M][clip-path]').length") == 1
    assert "0.02" in browser.run("document.body.innerText")
    assert not browser.messages, browser.messages


def test_losses_below_zero(browser):
    with open(at("below.csv"), "w") as file:
        file.write("epoch,step,train_loss,val_loss,lr,img_per_s,seconds\n1,2,1.5,0.3,0.1,9,1\n2,4,-0.2,-0.6,0.1,9,1\n")
    program("plot", "--html", at("below.csv"), "-o", at("below.html"))
    look_at(browser, at("below.html"), "below")
    ends = "((c, b) => [b(c.querySelector('clipPath rect')), ...[...c.querySelectorAll('path[d^=M][clip-path]')].map(b)])" \
        "(document.querySelector('.chart'), e => (r => [r.y, r.y + r.height])(e.getBBox()))"
    (top, bottom), *curves = browser.run(ends)
    assert len(curves) == 2 and all(top - 1 <= begin and end <= bottom + 1 for begin, end in curves), (top, bottom, curves)
    ticks = browser.run("[...document.querySelector('.chart').querySelectorAll('text[text-anchor=end]')].map(e => e.textContent)")
    assert ticks == ["-1", "-0.5", "0", "0.5", "1", "1.5"], ticks


def test_attention(browser):
    program("attention", "--html", at("one/best.safetensors"), at("data/light/1.png"), at("data/<b>dark & deep/0.png"),
            "--output-dir", folder.name, "--threads", "1")
    look_at(browser, at("1-attention.html"), "attention")
    row = "(n => row(maps, n).reduce((a, b) => a + b))"
    assert abs(browser.run(row + "(3)") - 1) < 0.02  # what a token gives to all is 1
    left, top, width, height = browser.run(
        "(r => [r.left, r.top, r.width, r.height])(document.getElementById('picture').getBoundingClientRect())")
    browser.point(left + width * 0.75, top + height * 0.25)
    assert browser.run("who.textContent") == "The patch in row 1, column 2 looks"
    before = browser.run("document.querySelector('#blocks canvas').getAttribute('aria-label')")
    browser.point(left + width * 0.25, top + height * 0.75, click=True)
    assert browser.run("who.textContent") == "The patch in row 2, column 1 looks, held"
    assert browser.run("document.querySelector('#blocks canvas').getAttribute('aria-label')") != before
    browser.point(left + 1, top + 1)
    assert browser.run("token") == 3
    browser.run("document.getElementById('picture').focus()")
    browser.press("ArrowRight")
    assert browser.run("document.getElementById('picture').getAttribute('aria-valuetext')") == "the patch in row 2, column 2"
    browser.run("document.querySelectorAll('#pictures button')[1].click()")
    assert "dark" in browser.run("answer.textContent")
    assert not browser.messages, browser.messages


def test_book(browser):
    if not shutil.which("pandoc"):
        print("skipped a test case: no pandoc, which makes the book")
        return
    subprocess.run([sys.executable, "-B", "apps/book/make_book.py", at("book"), "--plain"], check=True, timeout=400,
                   stdout=subprocess.DEVNULL)
    for page in ("index", "apps-lessons-2_tape", "apps-lessons-3_differences", "autograd-tape.h", "autograd", "nn", "optim",
                 "tensor"):
        look_at(browser, at(f"book/{page}.html"), "book-" + page)
    # A tape is stepped through, forward and then back: what ran is lit, and said.
    browser.open(at("book/apps-lessons-2_tape.html"))
    said, lit = "document.querySelector('.tape [role=status]').textContent", "document.querySelectorAll('.node.%s').length"
    assert browser.run(said) == "3 ops: step through them, forward and then backward."
    browser.run("document.querySelectorAll('.tape button')[1].click()")
    assert browser.run(said) == "Forward, 1 of 3: mul reads a and b and gives a number.", browser.run(said)
    assert browser.run(lit % "forward") == 3 and browser.run(lit % "later") == 2
    browser.run("document.querySelectorAll('.tape button')[1].focus()")
    for _ in range(3):
        browser.press("ArrowRight")
    assert browser.run(said) == "Backward, 1 of 3: add is given a gradient, a number, and hands one on to a and exp.", browser.run(said)
    assert browser.run(lit % "backward") == 3 and browser.run(lit % "later") == 2
    for _ in range(3):
        browser.press("ArrowRight")
    assert browser.run(said).startswith("Backward, 3 of 3: mul ") and browser.run(lit % "backward") == 5
    assert browser.run("document.querySelectorAll('.tape button')[1].getAttribute('aria-disabled')") == "true"
    browser.press("ArrowLeft")
    assert browser.run(said).startswith("Backward, 2 of 3: exp ")
    browser.open(at("book/apps-lessons-3_differences.html"))
    browser.run("document.querySelector('.points input').focus()")
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    assert browser.run("document.querySelector('.points p').textContent").startswith("h = 3.2e-02: the error is ")
    assert browser.run("document.querySelector('.at.now') === document.querySelectorAll('.at')[2]")
    # Of frames one is seen, and said.
    browser.open(at("book/nn.html"))
    seen = ("[...document.querySelectorAll('.frames')[2].querySelectorAll('.frame')]"
            ".map((g) => getComputedStyle(g).visibility === 'visible' ? 1 : 0).join('')")
    assert browser.run(seen) == "1000", browser.run(seen)
    browser.run("document.querySelectorAll('.frames')[2].querySelectorAll('button')[1].click()")
    assert browser.run(seen) == "0100", browser.run(seen)
    said = browser.run("document.querySelectorAll('.frames')[2].querySelector('[role=status]').textContent")
    assert said.startswith("The second block: windows are shifted by half"), said
    browser.open(at("book/apps-book.html"))
    assert browser.run("document.querySelectorAll('math').length") > 5
    browser.run("document.getElementById('search').focus()")
    browser.send("Input.insertText", text="layer norm")
    assert "LayerNorm" in browser.run("found.textContent")
    browser.run("found.querySelector('a').click()")
    browser.receive(1)
    browser.run("new Promise(done => setTimeout(done, 300))")
    assert browser.run("location.href").endswith("nn-norm.h.html#LayerNorm")
    assert browser.run("document.querySelector(':target').getBoundingClientRect().top") < 400
    assert not browser.messages, browser.messages


if __name__ == "__main__":
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    make_runs()
    failed = 0
    for name, test in tests:
        browser = Browser()
        try:
            test(browser)
        except Exception:
            failed += 1
            print(name + " failed:")
            traceback.print_exc(file=sys.stdout)
        finally:
            browser.close()
    print(f"[doctest] test cases: {len(tests)} | {len(tests) - failed} passed | {failed} failed | 0 skipped")
    sys.exit(failed > 0)
