#!/usr/bin/env python3
"""The page of an audio run: one file that needs nothing else, whose sound is the sound; with a browser (label `browser`) looked at."""
import base64
import re
import shutil
import sys

from support import *

PAGE = "share:pipelines/audio/report.yaml"
SOUND = os.path.join(SOURCE, "share", "data", "chirps.wav")
CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


class Report(Scratch):
    def page(self, name="a.html", *more):
        self.ok("run", PAGE, "-q", "-o", name, "--force", *more)
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def test_one_file_that_needs_nothing(self):
        text = self.page()
        self.assertIsNone(re.search(r"https?:|<script|@import|url\(", text))
        for src in re.findall(r'src="([^"]{0,30})', text):
            self.assertTrue(src.startswith("data:"), src)
        self.assertEqual(len(re.findall("<svg", text)), 2)
        bmp = base64.b64decode(re.search("data:image/bmp;base64,([^\"]*)", text)[1])
        self.assertEqual((bmp[:2], struct.unpack("<I", bmp[2:6])[0]), (b"BM", len(bmp)))
        # the low tone of the first half second: the loudest row of the spectrogram is the lowest, silence is black
        rows = [bmp[54 + 1024 + 1200 * b:][:1200] for b in range(128)]
        self.assertEqual(max(range(128), key=lambda b: rows[b][120]), 3)  # 220 Hz of steps of 62.5
        self.assertEqual({row[600] for row in rows}, {0})
        with open(self.path("a.flac"), "wb") as f:
            f.write(base64.b64decode(re.search("data:audio/flac;base64,([^\"]*)", text)[1]))
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: audio, path: x}\nwriter: {plugin: audio, path: '-'}\n")
        heard = [self.ok("run", "p.yaml", "-q", "-i", p, "--set", "writer.format=raw").stdout for p in ("a.flac", SOUND)]
        self.assertEqual(heard[0], heard[1])
        for cut in (["--chunk", "1"], ["--chunk", "7", "-@", "2"], ["--chunk", "4096"]):
            self.assertEqual(self.page("b.html", *cut), text)
        short = self.page("c.html", "--set", "writer.audio=1s")
        self.assertIn("the first 1.0 s", short)
        self.assertNotIn("<audio", self.page("d.html", "--set", "writer.audio=0"))
        with open(SOUND, "rb") as f:
            r = self.ok("run", PAGE, "-i", "-", "-o", "e.html", stdin=f.read())
        self.assertIn("cannot be read a second time", r.stderr.decode())
        with open(self.path("e.html")) as f:
            piped = f.read()
        self.assertEqual(len(re.findall("<svg", piped)), 1)
        self.assertNotIn("<audio", piped)
        shutil.copy(SOUND, self.path("<b>&.wav"))
        self.assertIn("<h2>&lt;b&gt;&amp;</h2>", self.page("f.html", "-i", "<b>&.wav"))

    @unittest.skipUnless("--browser" in sys.argv[1:] or os.environ.get("MBS_BROWSER"), "label browser")
    def test_in_a_browser(self):
        if not CHROMIUM:
            self.skipTest("no chromium")
        probe = ("<script>onload=()=>{const a=document.querySelector('audio'),i=document.querySelector('img');"
                 "const say=()=>document.title=[i.naturalWidth,i.naturalHeight,a.duration,a.error,"
                 "document.querySelectorAll('path.line').length].join(' ');a.onloadedmetadata=say;a.load();say()}</script>")
        with open(self.path("g.html"), "w", encoding="utf-8") as f:
            f.write(self.page().replace("</html>", probe + "</html>"))
        r = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=5000",
                            "file://" + self.path("g.html")], capture_output=True, timeout=120)
        title = re.search("<title>(.*?)</title>", r.stdout.decode())[1].split(" ")
        self.assertEqual(title[:2] + title[3:], ["1200", "128", "", "8"])
        self.assertAlmostEqual(float(title[2]), 2.5, delta=0.01)


if __name__ == "__main__":
    unittest.main(argv=[a for a in sys.argv if a != "--browser"])
