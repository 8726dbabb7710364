"""Has Chromium fetch files that are sent with `Content-Encoding: gzip`, and compares what it unpacks with the originals.

    browser.py CHROMIUM PLAIN PACKED [PLAIN PACKED]...

Serves on a free port of the loopback address; the page sends back the digest of each file. Ends with 0 if all agree.
"""

import hashlib
import http.server
import subprocess
import sys
import tempfile
import threading

chromium, files = sys.argv[1], sys.argv[2:]
pairs = list(zip(files[::2], files[1::2]))
told = threading.Event()
said = []

PAGE = """<script>
(async () => {
  const lines = [];
  for (let number = 0; number < COUNT; number++) {
    try {
      const bytes = await (await fetch('/' + number)).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      lines.push(Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join(''));
    } catch (error) { lines.push(String(error)); }
  }
  await fetch('/told', {method: 'POST', body: lines.join('\\n')});
})();
</script>""".replace("COUNT", str(len(pairs)))


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body, *headers):
        self.send_response(200)
        for name, value in (("Content-Length", len(body)), *headers):
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        name = self.path.strip("/")
        if name.isdigit():
            with open(pairs[int(name)][1], "rb") as packed:
                self.answer(packed.read(), ("Content-Encoding", "gzip"))
        else:
            self.answer(PAGE.encode(), ("Content-Type", "text/html"))

    def do_POST(self):
        said.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(b"")
        told.set()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = subprocess.Popen(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         f"--user-data-dir={profile}", "--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not told.wait(120):
            sys.exit("the browser told nothing")
    finally:
        browser.terminate()
        browser.wait()

digests = said[0].split("\n")
for (plain, packed), digest in zip(pairs, digests, strict=True):
    with open(plain, "rb") as file:
        expected = hashlib.sha256(file.read()).hexdigest()
    if digest != expected:
        sys.exit(f"{packed}: {digest} in the browser, {expected} in {plain}")
