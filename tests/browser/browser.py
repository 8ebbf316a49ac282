"""Chromium without a window, by its DevTools protocol over two pipes: with Python's standard library alone."""
import base64, json, os, select, shutil, subprocess, tempfile, time


def chromium():
    """The path of the browser, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """A page of it. `messages` collects what the page writes to the console, and its errors."""

    def __init__(self, width=1000, height=800, dark=False):
        self.folder = tempfile.mkdtemp()
        commands, self.to = os.pipe()
        self.answers, answers = os.pipe()

        def lay_pipes():  # the protocol's ends are 3 and 4
            a, b = os.dup2(commands, 63), os.dup2(answers, 64)
            os.dup2(a, 3), os.dup2(b, 4)

        # As root, in a container, it does not run with its sandbox. It opens only files that the tests made.
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
                 "--user-data-dir=" + self.folder, "--no-first-run", "--disable-dev-shm-usage", "about:blank"]
        self.process = subprocess.Popen([chromium(), *flags], preexec_fn=lay_pipes, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands), os.close(answers)
        self.rest, self.number, self.session, self.messages, self.loaded = b"", 0, None, [], False
        target = [t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page"][0]
        self.session = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(domain + ".enable")
        self.look(width, height, dark)

    def look(self, width, height=800, dark=False, media=""):
        """The size of the window in pixels, light or dark, and "print" for paper."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def send(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        number, end = self.number, time.time() + 30
        while time.time() < end:
            answer = self.receive(end - time.time())
            if answer and answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(method + ": " + answer["error"]["message"])
                return answer["result"]
        raise RuntimeError(method + ": no answer")

    def receive(self, seconds):
        while b"\0" not in self.rest:
            if not select.select([self.answers], [], [], max(seconds, 0))[0]:
                return None
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self.rest += part
        one, self.rest = self.rest.split(b"\0", 1)
        answer = json.loads(one)
        if answer.get("method") == "Page.loadEventFired":
            self.loaded = True
        if answer.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(answer["params"])[:500])
        return answer

    def open(self, path):
        self.loaded = False
        self.send("Page.navigate", url="file://" + os.path.abspath(path))
        end = time.time() + 30
        while not self.loaded and time.time() < end:
            self.receive(0.2)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script):
        """The value of an expression of JavaScript, which may be a promise."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(script + ": " + json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def point(self, x, y, click=False):
        """Moves the pointer, and clicks."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """A key by its name: "ArrowLeft", "Tab"."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Enter": 13}
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def picture(self, path, whole=True):
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
