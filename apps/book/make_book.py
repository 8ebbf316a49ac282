#!/usr/bin/env python3
"""make_book.py OUT: the folders' pages, and the source files that their tables name, as pages of HTML.

Each README.md is a chapter. A source file is shown as prose beside code: its comments are the prose. pandoc makes HTML
of both and colours the code; nothing else is needed, and the pages need nothing at all. A link that leads nowhere, or a
page of more than 300 KB, is an error.
"""
import html, json, os, re, shutil, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FLAGS = ["--no-highlight"] if "--plain" in sys.argv else []
LARGEST = 300_000  # bytes of a page
COLOURED = "kw|cf|dt|bu|dv|fl|bn|st|ch|sc|vs|co|do|cv|an|pp|im|er|al|wa|at"  # what book.css has a colour for


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def stop(sentence):
    sys.exit("make_book: " + sentence)


def pandoc(text, source):
    done = subprocess.run(["pandoc", "-f", source, "-t", "html5", "--mathml", "--wrap=none", *FLAGS], input=text,
                          capture_output=True, text=True)
    if done.returncode:
        stop("pandoc: " + done.stderr.strip())
    # pandoc makes each line of code a place to link to, which takes a third of a page's bytes.
    text = re.sub(r' id="cb\d+"', "", done.stdout)
    text = re.sub(r'<span id="cb\d+-\d+"><a href="#cb\d+-\d+"[^>]*></a>(.*?)</span>(?=\n|</code>)', r"\1", text)
    return re.sub(r'<span class="(?!(?:%s)")\w+">([^<]*)</span>' % COLOURED, r"\1", text)


def coloured(body):
    """C++ that stands indented in a page has no language there: its lines end as those of nothing else do."""
    is_cpp = lambda code: re.search(r"[;{}]( *//.*)?$", code, re.M) and "build/" not in code
    def again(m):
        code = html.unescape(m[1])
        return pandoc("`````cpp\n%s\n`````" % code, "gfm").strip() if is_cpp(code) else m[0]
    return re.sub(r"<pre><code>(.*?)</code></pre>", again, body, flags=re.S)


def page_name(path):
    """tensor/README.md -> tensor.html, tensor/rng.h -> tensor-rng.h.html; the first page is index.html."""
    folder, name = os.path.split(path)
    if name == "README.md":
        return (folder.replace("/", "-") or "index") + ".html"
    return path.replace("/", "-") + ".html"


# --- Which pages there are: the chapters in the order of the first page, and the files that their tables name ---
def chapters():
    order = re.findall(r"^\| \[`(\w+)/`\]", read("README.md"), re.M)
    found = ["README.md", "apps/book/README.md"]
    for top in ["apps/lessons", *order]:
        inside = [os.path.relpath(os.path.join(folder, "README.md"), ROOT)
                  for folder, _, files in os.walk(os.path.join(ROOT, top)) if "README.md" in files]
        found += [path for path in sorted(inside, key=os.path.dirname) if path not in found]
    return found


def files_of(chapter):
    """[(path, what the table says of it)]"""
    folder, found = os.path.dirname(chapter), {}
    for names, rest in re.findall(r"^\| *((?:\[?`[^`|]+`[^|]*?)+) *\|([^\n]*)", read(chapter), re.M):
        for name in re.findall(r"`([^`]+)`", names):
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(os.path.join(ROOT, path)) and re.search(r"\.(h|cpp|cu|py|sh|bash)$", path):
                found.setdefault(path, re.sub(r"[`*]|\]\([^)]*\)|\[", "", rest.strip(" |")))
    return list(found.items())


# --- A source file as prose and code ---
def pieces(text, mark):
    """[(prose, code)]: whole-line comments at the left edge, and those that document what follows, are prose."""
    is_prose = lambda line: re.match(r"(\s*///|//|#!?(?![a-z]+\b.*[<\"])|#$)" if mark == "//" else r"#", line)
    found, prose, code, raw = [], [], [], False
    for line in text.splitlines():
        if not raw and is_prose(line) and (mark == "#" or line.lstrip().startswith("//")):
            if code:
                found.append((prose, code))
                prose, code = [], []
            stripped = line.strip().lstrip("/" if mark == "//" else "#!")
            prose.append(re.sub(r"^ ", "", stripped))
        elif line.strip() or code:
            code.append(line)
            raw = not raw if re.search(r'R"\w+\(', line) and not re.search(r'\)\w+"', line) else raw and not re.search(r'\)\w+"', line)
    return found + [(prose, code)]


def name_in(code):
    """The name that the first lines of code declare, or ""."""
    text = " ".join(line.strip() for line in code[:3])
    found = re.search(r"\b(?:struct|class|enum class|concept|using|def)\s+(\w+)", text) or re.search(r"\b(\w+)\s*\(", text)
    return found[1] if found and found[1] not in ("if", "for", "while", "template", "requires", "return") else ""


def markdown_line(line):
    """A line of a comment, in which < and * are themselves outside of code."""
    if line.startswith("    "):
        return line
    parts = re.split(r"(`[^`]*`)", re.sub(r"^-+ (.*?) -+$", r"\1", line))
    return "".join(part if part.startswith("`") else re.sub(r"([<*\[\]])", r"\\\1", part) for part in parts)


def markdown_of(path, names):
    """Appends (name, anchor) for each documented name."""
    mark = "//" if re.search(r"\.(h|cpp|cu)$", path) else "#"
    language = {"py": "python", "sh": "bash", "bash": "bash"}.get(path.rsplit(".", 1)[1], "cpp")
    text, used = [], set()
    for prose, code in pieces(read(path), mark):
        name = name_in(code) if prose and code else ""
        anchor = name if name and name not in used else ""
        used.add(name)
        if anchor:
            names.append((name, anchor))
        lines, in_list = [], False
        for line, before in zip(prose, ["", *prose]):
            starts = re.match(r"[-+*] ", line) and (in_list or not before.strip() or before.rstrip().endswith(":"))
            in_list = bool(starts) or (in_list and line.startswith(" "))
            # A minus at the beginning of a line is no list.
            lines.append(markdown_line(line) if starts or not re.match(r"[-+] ", line) else "\\" + markdown_line(line))
        body = "\n".join(lines)
        text.append("::: {.pair%s}\n" % (" #" + anchor if anchor else ""))
        text.append("::: {.prose}\n%s\n\n:::\n" % body)
        while code and not code[-1].strip():
            code.pop()
        if code:
            text.append("`````%s\n%s\n`````\n" % (language, "\n".join(code)))
        text.append(":::\n")
    return "\n".join(text)


# --- The frame of a page ---
def frame(title, body, name, before, after, menu):
    around = ['<a href="%s" rel="%s">%s %s</a>' % (page, rel, arrow, html.escape(text))
              for arrow, rel, (page, text) in (("Before:", "prev", before), ("Next:", "next", after)) if page]
    return """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="book.css">
</head>
<body>
<a class="skip" href="#text">To the text</a>
<nav aria-label="contents">
<details id="menu"><summary>Contents</summary>
<p><label for="search">Search</label> <input id="search" type="search" autocomplete="off"></p>
<div id="found" role="status"></div>
%s
</details>
</nav>
<main id="text">
%s
<p class="around">%s</p>
</main>
<script src="index.js"></script>
<script src="book.js"></script>
%s</body>
</html>
""" % (html.escape(title), menu, body, " ".join(around),
       '<script src="pictures.js"></script>\n' if "<figure class=" in body else "")


def main(out):
    if not shutil.which("pandoc"):
        stop("the book needs pandoc: apt-get install pandoc")
    os.makedirs(out, exist_ok=True)
    if os.listdir(out) and not os.path.exists(os.path.join(out, "book.js")):  # since old pages are removed
        sys.exit("make_book.py: " + out + " has files and is no book: name a folder that is empty or not there")

    all_chapters = chapters()
    files, order = {}, []  # the files of each chapter; [(page, title, path)]
    seen = set()
    for chapter in all_chapters:
        files[chapter] = [(path, about) for path, about in files_of(chapter) if path not in seen]
        if chapter == "README.md":
            files[chapter] = []  # its table names files of other chapters
        seen |= {path for path, _ in files[chapter]}
    titles = {chapter: re.match(r"# (.*)", read(chapter))[1].replace("`", "") for chapter in all_chapters}
    for chapter in all_chapters:
        order.append((page_name(chapter), titles[chapter], chapter))
        order += [(page_name(path), path, path) for path, _ in files[chapter]]
    pages = {path: page for page, _, path in order}

    # pandoc: once for each chapter and its files, several at a time.
    index, bodies, anchors_of = [], {}, {}

    def convert(chapter):
        bodies[chapter] = coloured(pandoc(read(chapter), "gfm+tex_math_dollars"))
        text, mark = [], "MARK%dBETWEEN"
        for i, (path, about) in enumerate(files[chapter]):
            anchors_of[path] = []
            text.append(mark % i + "\n\n" + markdown_of(path, anchors_of[path]))
        if not text:
            return
        parts = re.split(r"<p>MARK\d+BETWEEN</p>", pandoc("\n\n".join(text), "commonmark+fenced_divs+pipe_tables"))
        for (path, about), body in zip(files[chapter], parts[1:]):
            bodies[path] = "<h1>%s</h1>\n<p class=\"about\">%s.</p>\n%s" % (
                html.escape(path), html.escape(about[:1].upper() + about[1:]), body)
            index.append([path, pages[path], about])
            index.extend([name, pages[path] + "#" + anchor, path] for name, anchor in anchors_of[path] if path.endswith(".h"))

    with ThreadPoolExecutor(os.cpu_count()) as several:
        list(several.map(convert, all_chapters))

    # Links: to pages, to files that are copied, and from names of files in the text to their pages.
    broken = []
    def link(path, attribute, target):
        if re.match(r"(https?|data|mailto):|#", target):
            return '%s="%s"' % (attribute, target)
        to, hash_, anchor = target.partition("#")
        to = os.path.normpath(os.path.join(os.path.dirname(path), to))
        if to in pages:
            return '%s="%s%s%s"' % (attribute, pages[to], hash_, anchor)
        if os.path.isfile(os.path.join(ROOT, to)):
            copy = "files/" + to.replace("/", "-")
            os.makedirs(os.path.join(out, "files"), exist_ok=True)
            shutil.copy(os.path.join(ROOT, to), os.path.join(out, copy))
            return '%s="%s"' % (attribute, copy)
        broken.append("%s links to %s, which is not there" % (path, target))
        return '%s="#"' % attribute

    # A picture with ops or frames to step through, or with points, is part of the page, where pictures.js reaches it.
    def living(path, alt, target):
        file = os.path.normpath(os.path.join(os.path.dirname(path), target))
        svg = read(file) if os.path.isfile(os.path.join(ROOT, file)) else ""
        kind = "tape" if 'class="node"' in svg else "points" if "class='at'" in svg else "frames" if 'class="frame"' in svg else ""
        if not kind:
            return None
        svg = re.sub(r'<g id="\w+" class="(node|edge)">\n<title>([^<]*)</title>', r'<g class="\1" data-name="\2">',
                     svg[svg.index("<svg"):])
        svg = re.sub(r'<title>[^<]*</title>\n|<!--.*?-->\n|(?<=<g) id="\w+"| xmlns:xlink="[^"]*"', "", svg)
        # On a telephone a picture is moved about rather than made smaller than can be read.
        width = re.search(r"\bwidth=[\"'](\d+)(\w*)[\"']", svg)
        svg = re.sub(r"^<svg[^>]*>", lambda m: re.sub(r"\b(width|height)=[\"'][^\"']*[\"']\s*", "", m[0]), svg)
        size = lambda part: "%d%s" % (part * int(width[1]), width[2] or "px")
        about = '<svg role="img" aria-label="%s" style="width: %s; min-width: %s"' % (
            alt, size(1), "0" if kind == "points" else size(.6))
        return ('<figure class="%s">\n<div class="wide" tabindex="0" role="region" aria-label="picture">\n%s</div>\n'
                '</figure>' % (kind, svg.replace("<svg", about, 1)))

    def linked(path, body):
        body = re.sub(r'<p><img src="([^":]*\.svg)" alt="([^"]*)" ?/></p>',
                      lambda m: living(path, m[2], m[1]) or m[0], body)
        body = re.sub(r'\b(href|src)="([^"]*)"', lambda m: link(path, m[1], m[2]), body)
        def named(m):
            for to in (os.path.normpath(os.path.join(os.path.dirname(path), m[1])), m[1]):
                if to in pages and to != path:
                    return '<a href="%s">%s</a>' % (pages[to], m[0])
            return m[0]
        return re.sub(r"<code>([\w./]+\.(?:h|cpp|cu|py|sh|bash))</code>(?!</a>)", named, body)

    for chapter in all_chapters:
        index.append([titles[chapter], pages[chapter], "chapter"])
        index.extend([re.sub("<[^>]*>", "", text), pages[chapter] + "#" + anchor, titles[chapter]]
                     for anchor, text in re.findall(r'<h[2-4] id="([^"]*)">(.*?)</h[2-4]>', bodies[chapter]))

    whole, largest = {}, 0
    for i, (page, title, path) in enumerate(order):
        mine = next(c for c in all_chapters if c == path or path in dict(files[c]))
        menu = "<ul>\n"
        for chapter in all_chapters:
            current = ' aria-current="page"' if chapter == path else ""
            menu += '<li><a href="%s"%s>%s</a>' % (pages[chapter], current, html.escape(titles[chapter]))
            if chapter == mine and files[chapter]:
                menu += "\n<ul>\n" + "".join('<li><a href="%s"%s>%s</a></li>\n' % (
                    pages[f], ' aria-current="page"' if f == path else "",
                    html.escape(os.path.relpath(f, os.path.dirname(chapter) or "."))) for f, _ in files[chapter]) + "</ul>\n"
            menu += "</li>\n"
        body = linked(path, bodies[path])
        body = body.replace("<table>", '<div class="wide" tabindex="0" role="region" aria-label="table">\n<table>').replace("</table>", "</table>\n</div>")
        before = order[i - 1][:2] if i > 0 else ("", "")
        after = order[i + 1][:2] if i + 1 < len(order) else ("", "")
        whole[page] = frame(title, body, page, before, after, menu + "</ul>")
        with open(os.path.join(out, page), "w", encoding="utf-8") as file:
            file.write(whole[page])
        size = len(whole[page].encode())
        largest = max(largest, size)
        if size > LARGEST:
            broken.append("%s has %d bytes, more than %d" % (page, size, LARGEST))
    for old in os.listdir(out):
        if old.endswith(".html") and old not in whole:
            os.remove(os.path.join(out, old))
    for name in ("book.css", "book.js", "pictures.js"):
        shutil.copy(os.path.join(HERE, name), out)
    with open(os.path.join(out, "index.js"), "w", encoding="utf-8") as file:
        file.write("const index = " + json.dumps(index, ensure_ascii=False, separators=(",", ":")) + ";\n")

    # Every link leads to a page, and to a place in it.
    ids = {page: set(re.findall(r'\bid="([^"]*)"', text)) for page, text in whole.items()}
    links = 0
    for page, text in whole.items():
        for target in re.findall(r'\b(?:href|src)="([^"]*)"', text):
            if re.match(r"(https?|data|mailto):", target):
                continue
            links += 1
            to, _, anchor = html.unescape(target).partition("#")
            if to and to not in whole and not os.path.isfile(os.path.join(out, to)):
                broken.append("%s links to %s, which is not there" % (page, target))
            elif anchor and (to or page) in whole and anchor not in ids[to or page]:
                broken.append("%s links to %s, and there is no such heading" % (page, target))
    if broken:
        stop("\n  ".join(["the book has faults:"] + sorted(set(broken))))
    print("%s: %d pages, %d links, the largest page has %d KB" % (os.path.join(out, "index.html"), len(whole), links, largest // 1000))


if __name__ == "__main__":
    folders = [word for word in sys.argv[1:] if not word.startswith("--")]
    main(folders[0] if folders else os.path.join(ROOT, "build/book"))
